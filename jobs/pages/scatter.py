"""CP against PF, a point a model; and the corner where copies of the reference lie.

A copy keeps the concept, ignores the prompt, and brings the reference's background along. None of
these says so by itself, so a model is named only where all that is known of it does:

1. Its CP is in the upper third of what the models span, its PF in the lower third, and its leak in
   the upper third.
2. Each interval lies wholly on that side of the median model's mean.

With fewer than three models there is no middle, and no corner.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from jobs.pages.charts.labels import Label, placed
from jobs.pages.charts.scale import Scale, Tick, scale_of
from jobs.pages.names import link_to, shown
from jobs.pipeline.results.comparison.suspicions import LEAK
from jobs.pipeline.results.summary import Summary

WIDTH, HEIGHT = 560, 420
LEFT, RIGHT, TOP, BOTTOM = 66, 16, 16, 44
FEWEST = 3
MOST_LABELS = 40


@dataclass(frozen=True)
class Point:
    """A model."""

    name: str
    link: str
    x: float
    y: float
    cross: tuple[float, float, float, float] | None
    """The ends of its intervals: left, right, top, bottom; None where there are none."""
    label: Label | None
    is_copy: bool
    text: str
    """Its figures."""


@dataclass(frozen=True)
class Corner:
    """Of copies, in pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Scatter:
    """The chart."""

    points: list[Point]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    x: Scale
    y: Scale
    corner: Corner | None
    copies: list[str]
    """Models that look like copies."""
    has_leak: bool


def scatter(
    summary: Summary, ranked: Sequence[str | None], columns: Sequence[str]
) -> Scatter | None:
    """The chart; None where no model has both scores."""
    by_name = {row["model"]: row for row in summary.model.to_pylist()}
    rows = [by_name[name] for name in ranked]
    rows = [row for row in rows if row["cp_mean"] is not None and row["pf_mean"] is not None]
    if not rows:
        return None
    ends = [[row[f"{c}_{end}"] for row in rows for end in ENDS] for c in ("cp", "pf")]
    x = scale_of(ends[0], LEFT, WIDTH - RIGHT, 0.06)
    y = scale_of(ends[1], HEIGHT - BOTTOM, TOP, 0.06)
    copies = copies_among(rows)
    at = [(x.at(row["cp_mean"]), y.at(row["pf_mean"])) for row in rows]
    names = [shown(row["model"]) for row in rows]
    crosses = [_cross(row, x, y) for row in rows]
    lines = [
        box
        for (px, py), cross in zip(at, crosses, strict=True)
        if cross is not None
        for box in ((cross[0], py - 1, cross[1], py + 1), (px - 1, cross[2], px + 1, cross[3]))
    ]
    few = slice(MOST_LABELS)
    labels = placed(at[few], names[few], WIDTH - RIGHT, HEIGHT - BOTTOM, lines)
    labels += [None] * (len(rows) - len(labels))
    points = [
        Point(
            name,
            link_to("model", row["model"]),
            *where,
            cross,
            label,
            row["model"] in copies,
            f"{name}: CP {row['cp_mean']:.3f}, PF {row['pf_mean']:.3f}{_leak(row)}",
        )
        for row, where, name, cross, label in zip(rows, at, names, crosses, labels, strict=True)
    ]
    shown_copies = [shown(row["model"]) for row in rows if row["model"] in copies]
    return Scatter(
        points,
        x.ticks(6),
        y.ticks(6),
        x,
        y,
        _corner(rows, x, y),
        shown_copies,
        LEAK in columns and any(row[f"{LEAK}_mean"] is not None for row in rows),
    )


ENDS = ("mean", "ci_low", "ci_high")


def copies_among(rows: Sequence[Mapping[str, Any]]) -> set[str | None]:
    """The models that look like copies of their references.

    Args:
        rows: of `Summary.model`, with both means.
    """
    if len(rows) < FEWEST:
        return set()
    found = {row["model"] for row in rows}
    for column, is_high in (("cp", True), ("pf", False), (LEAK, True)):
        values = [row.get(f"{column}_mean") for row in rows]
        known = [value for value in values if value is not None]
        if column == LEAK and len(known) < len(rows):
            # Without it a faithful subject in a scene of its own looks the same.
            return set()
        middle, end = median(known), _third(known, is_high)
        for row in rows:
            mean, low, high = (row[f"{column}_{name}"] for name in ENDS)
            if low is None or not (
                (mean >= end and low > middle) if is_high else (mean <= end and high < middle)
            ):
                found.discard(row["model"])
    return found


def _third(values: Sequence[float], is_high: bool) -> float:
    """Where the outer third of what they span begins."""
    span = (max(values) - min(values)) / 3
    return max(values) - span if is_high else min(values) + span


def _corner(rows: Sequence[Mapping[str, Any]], x: Scale, y: Scale) -> Corner | None:
    cp, pf = ([row[f"{column}_mean"] for row in rows] for column in ("cp", "pf"))
    if len(rows) < FEWEST or max(cp) == min(cp) or max(pf) == min(pf):
        return None
    left, top = x.at(_third(cp, True)), y.at(_third(pf, False))
    return Corner(left, top, round(x.end - left, 1), round(y.start - top, 1))


def _cross(row: Mapping[str, Any], x: Scale, y: Scale) -> tuple[float, float, float, float] | None:
    ends = [row[f"{column}_{end}"] for column in ("cp", "pf") for end in ENDS[1:]]
    if any(end is None or not math.isfinite(end) for end in ends):
        return None
    return x.at(ends[0]), x.at(ends[1]), y.at(ends[3]), y.at(ends[2])


def _leak(row: Mapping[str, Any]) -> str:
    leak = row.get(f"{LEAK}_mean")
    return "" if leak is None else f", leak {leak:.3f}"
