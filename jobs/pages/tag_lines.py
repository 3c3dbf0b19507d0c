"""Prompts and tags as tables: figures over all models, and PF with each model as a colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.pages.heat import Cell, cell_of, ends_of
from jobs.pages.names import link_to, shown, title
from jobs.pages.tags import TagTable
from jobs.pipeline.results.intervals import Interval
from jobs.pipeline.results.leaderboard import ABSENT
from jobs.pipeline.results.numbers import number

MOST_MODELS = 12
"""That have a column, the best; the page's data has the others."""
LONGEST = 120
"""Characters of a tag's value."""


@dataclass(frozen=True)
class TagLine:
    """One value."""

    name: str
    n: int
    figures: list[tuple[float | None, str]]
    """By score column, to sort by and to read."""
    cells: list[Cell]


@dataclass(frozen=True)
class TagLines:
    """One tag."""

    by: str
    n_values: int
    titles: list[str]
    models: list[tuple[str, str]]
    lines: list[TagLine]
    note: str


def tag_lines(table: TagTable, ranked: Sequence[str | None], columns: Sequence[str]) -> TagLines:
    """The table of a tag, the lowest PF first."""
    models = ranked[:MOST_MODELS] if len(ranked) > 1 else []
    means = table.means.get("pf", np.full((len(ranked), len(table.values)), np.nan))
    ends = ends_of(means)
    lines = [
        TagLine(
            shown(each.value)[:LONGEST],
            each.n,
            [_figure(each.intervals[column]) for column in columns],
            [cell_of(value, ends) for value in means[: len(models), place]],
        )
        for place, each in enumerate(table.values)
    ]
    titles = [title(column) for column in columns]
    links = [(shown(model), link_to("model", model)) for model in models]
    return TagLines(table.by, table.n_values, titles, links, lines, table.note)


def _figure(found: Interval) -> tuple[float | None, str]:
    mean, low, high = map(number, (found.mean, found.low, found.high))
    if mean is None:
        return None, ABSENT
    between = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return mean, f"{mean:.3f}{between}"
