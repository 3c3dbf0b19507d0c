"""The leaderboard: every score of every model with its interval, drawn and in figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.pages.charts.labels import LETTER
from jobs.pages.charts.scale import Scale, Tick, scale_of
from jobs.pages.names import link_to, shown, title
from jobs.pipeline.results.leaderboard import ABSENT
from jobs.pipeline.results.summary import Summary

WIDTH = 132
"""Pixels of a drawn interval."""
EDGE = 6
ROOM = 11
"""Pixels that a tick's text takes on either side."""
MOST_NAMED = 6
COUNTS = {
    "n_skipped": "skipped",
    "n_error": "errors",
    "n_subject_missing": "subject missing",
    "n_subject_not_found": "subject not found",
}
"""Columns that show where some model has such rows."""


@dataclass(frozen=True)
class Score:
    """A mean with its interval; numbers are None where there are none."""

    mean: float | None
    low: float | None
    high: float | None
    x: float | None
    """Where the mean is drawn, and so are the ends."""
    x_low: float | None
    x_high: float | None

    @property
    def text(self) -> str:
        """The mean."""
        return ABSENT if self.mean is None else f"{self.mean:.3f}"

    @property
    def interval(self) -> str:
        """The ends, or that there are too few concepts for any."""
        return "" if self.low is None else f"[{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Line:
    """A model."""

    rank: int | None
    name: str
    key: str
    """By which it is sorted and searched."""
    link: str
    n: int
    scores: list[Score]
    product: float | None
    letters: str
    counts: list[int | None]


@dataclass(frozen=True)
class Column:
    """A score."""

    name: str
    title: str
    ticks: list[Tick]
    """At most three, none beside another's text."""


@dataclass(frozen=True)
class Board:
    """The table."""

    columns: list[Column]
    has_letters: bool
    counts: list[str]
    lines: list[Line]
    overlaps: list[str]
    """Whose intervals overlap, in words, a line a column."""


def board(summary: Summary, ranked: Sequence[str | None], columns: Sequence[str]) -> Board:
    """The table of a summary, best model first."""
    by_name = {row["model"]: row for row in summary.model.to_pylist()}
    rows = [by_name[name] for name in ranked]
    scales = {column: _scale(rows, column) for column in columns}
    counted = COUNTS | {f"n_{column}_nan": f"{title(column)} NaN" for column in columns}
    kept = [name for name in counted if any(row.get(name) for row in rows)]
    lines = []
    for number, row in enumerate(rows, 1):
        product = _number(row["cp_x_pf"])
        lines.append(
            Line(
                None if product is None else number,
                shown(row["model"]),
                row["model"] or "",
                link_to("model", row["model"]),
                row["n"],
                [_score(row, column, scales[column]) for column in columns],
                product,
                summary.groups.get(row["model"], ABSENT),
                [row[name] for name in kept],
            )
        )
    return Board(
        [Column(name, title(name), _three(scales[name])) for name in columns],
        bool(summary.groups),
        [counted[name] for name in kept],
        lines,
        [line for column in ("cp", "pf") for line in _overlaps(rows, column)],
    )


def _scale(rows: Sequence[Mapping[str, Any]], column: str) -> Scale:
    ends = [row[f"{column}_{name}"] for row in rows for name in ("mean", "ci_low", "ci_high")]
    return scale_of(ends, EDGE, WIDTH - EDGE)


def _three(scale: Scale) -> list[Tick]:
    ticks = [tick for tick in scale.ticks(4) if ROOM <= tick.at <= WIDTH - ROOM]
    few = ticks if len(ticks) <= 3 else [ticks[0], ticks[len(ticks) // 2], ticks[-1]]
    kept: list[Tick] = []
    for tick in few:
        if not kept or tick.at - kept[-1].at >= LETTER * (len(tick.text) + 1):
            kept.append(tick)
    return kept


def _score(row: Mapping[str, Any], column: str, scale: Scale) -> Score:
    found = [_number(row[f"{column}_{name}"]) for name in ("mean", "ci_low", "ci_high")]
    return Score(*found, *(None if value is None else scale.at(value) for value in found))


def _overlaps(rows: Sequence[Mapping[str, Any]], column: str) -> list[str]:
    """Which models' intervals overlap: of many the first pairs and their number."""
    known = [row for row in rows if _number(row[f"{column}_ci_low"]) is not None]
    known.sort(key=lambda row: -row[f"{column}_mean"])
    if len(known) < 2:
        return []
    pairs = [
        (one, other)
        for place, one in enumerate(known)
        for other in known[place + 1 :]
        if one[f"{column}_ci_low"] <= other[f"{column}_ci_high"]
        and other[f"{column}_ci_low"] <= one[f"{column}_ci_high"]
    ]
    n_all = math.comb(len(known), 2)
    if not pairs:
        return [f"{title(column)}: no two intervals overlap."]
    if len(pairs) == n_all and n_all > 1:
        return [f"{title(column)}: the intervals of all models overlap one another."]
    named = [f"{shown(a['model'])} and {shown(b['model'])}" for a, b in pairs[:MOST_NAMED]]
    more = f", and {len(pairs) - MOST_NAMED:,} pairs more" if len(pairs) > MOST_NAMED else ""
    return [
        f"{title(column)}: the intervals of {', of '.join(named)}{more} overlap "
        f"({len(pairs):,} of {n_all:,} pairs)."
    ]


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
