"""A table of the paper with figures of ours in it; what stands in no row, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobs.pipeline.results.intervals import Interval
from jobs.pipeline.results.paper.moves import Moves


@dataclass(frozen=True)
class Figure:
    """What came of a row."""

    value: float
    interval: Interval | None = None
    """95 %, over concepts or subjects; None where there is none of this figure."""
    n: int | None = None
    """Samples, or pairs."""


@dataclass(frozen=True)
class PaperRow:
    """One row."""

    name: str
    """As the paper has it."""
    system: str
    ours: Figure | None
    published: float | None
    why_not: str | None = None
    """Why there is no figure of ours."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Further cells, by their headers."""

    @property
    def difference(self) -> float | None:
        """Ours minus the published one; None without both."""
        if self.ours is None or self.published is None:
            return None
        return self.ours.value - self.published


@dataclass(frozen=True)
class PaperTable:
    """One table."""

    recipe: str
    title: str
    figure: str
    """What its figures are."""
    rows: Sequence[PaperRow]
    notes: Sequence[str] = ()
    moves: Moves | None = None
    digits: int = 3
    """That figures are read by."""

    @property
    def n_with_figures(self) -> int:
        """Rows that have a figure of ours."""
        return sum(row.ours is not None for row in self.rows)
