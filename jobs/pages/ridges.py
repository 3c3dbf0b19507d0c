"""Distributions drawn: a model a line, all on one axis, quantiles marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.pages.charts.labels import shortened
from jobs.pages.charts.scale import Scale, Tick
from jobs.pages.distributions import Distribution
from jobs.pages.names import link_to, shown, title
from jobs.pipeline.results.summary import Summary

WIDTH = 560
LEFT, RIGHT, TOP, BOTTOM = 158, 12, 6, 26
LINE, CLOSE = 34, 24
"""Pixels from a model to the next; where there are many."""
MANY = 12

LONGEST = 22
MOST_DRAWN = 60
"""Models; all are in the table."""
QUANTILES = ("p05", "p25", "p50", "p75", "p95")


@dataclass(frozen=True)
class Ridge:
    """A model."""

    name: str
    label: str
    link: str
    base: float
    tall: float
    """To the line above."""
    path: str
    middle: float
    box: tuple[float, float]
    text: str


@dataclass(frozen=True)
class Ridges:
    """The chart of one column."""

    column: str
    title: str
    height: float
    floor: float
    ticks: list[Tick]
    lines: list[Ridge]
    n_left_out: int
    rows: list[Mapping[str, Any]]
    """Of `Summary.model`, best first; those that have values."""


def ridges(found: Distribution, summary: Summary, ranked: Sequence[str | None]) -> Ridges:
    """The chart, best model first."""
    by_name = {row["model"]: row for row in summary.model.to_pylist()}
    rows = [by_name[name] for name in ranked if found.counts[name].sum()]
    drawn = rows[:MOST_DRAWN]
    scale = Scale(float(found.edges[0]), float(found.edges[-1]), LEFT, WIDTH - RIGHT)
    line = LINE if len(drawn) <= MANY else CLOSE
    floor = TOP + line * len(drawn)
    lines = [
        _line(row, found, scale, TOP + line * (place + 1), line) for place, row in enumerate(drawn)
    ]
    return Ridges(
        found.column,
        title(found.column),
        floor + BOTTOM,
        floor,
        scale.ticks(6),
        lines,
        len(rows) - len(drawn),
        rows,
    )


def _line(
    row: Mapping[str, Any], found: Distribution, scale: Scale, base: float, tall: float
) -> Ridge:
    name = shown(row["model"])
    counts = found.counts[row["model"]]
    heights = (tall - 4) * counts / counts.max()
    steps = [f"M{scale.at(found.edges[0])} {base}"]
    for left, right, height in zip(found.edges, found.edges[1:], heights, strict=False):
        top = round(base - float(height), 1)
        steps.append(f"L{scale.at(left)} {top}H{scale.at(right)}")
    steps.append(f"V{base}Z")
    low, box_low, middle, box_high, high = (row[f"{found.column}_{q}"] for q in QUANTILES)
    return Ridge(
        name,
        shortened(name, LONGEST),
        link_to("model", row["model"]),
        base,
        tall,
        "".join(steps),
        scale.at(middle),
        (scale.at(box_low), scale.at(box_high)),
        f"{name}: median {middle:.3f}, half of the samples from {box_low:.3f} to {box_high:.3f}, "
        f"nine in ten from {low:.3f} to {high:.3f}",
    )
