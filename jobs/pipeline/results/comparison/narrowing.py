"""How an interval narrowed while a run went on: what a picture of it is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Point = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Narrowing:
    """One gated column against one baseline, look by look."""

    column: str
    against: str
    """The baseline's URL, without credentials."""
    margin: float
    shards: Sequence[int]
    """(L,) that were done at each look, rising."""
    concepts: Sequence[int]
    """(L,) that counted."""
    low: Sequence[float | None]
    """(L,) end of the interval, of candidate minus baseline; None with fewer than two concepts."""
    mean: Sequence[float | None]
    high: Sequence[float | None]
    verdict: str | None
    """The one that stood at the last look; None where the run went on."""


def narrowings(described: Mapping[str, Any] | None) -> list[Narrowing]:
    """Of each baseline and gated column, in order; empty where a run was not looked at.

    Args:
        described: what `run.json` says; what is of another form in it is left out.
    """
    early = (described or {}).get("early")
    if not isinstance(early, dict):
        return []
    looks, margins = early.get("looks"), early.get("margins")
    if not isinstance(looks, list) or not isinstance(margins, dict):
        return []
    found = []
    for against in early.get("against") or []:
        own = [each for each in looks if isinstance(each, dict) and each.get("against") == against]
        for column, margin in margins.items():
            points = [_point(each, column) for each in own]
            known = [(each, point) for each, point in zip(own, points, strict=True) if point]
            if known:
                found.append(_narrowing(column, against, margin, known))
    return found


def in_words(narrowing: Narrowing) -> str:
    """The last look in words, for a terminal."""
    low, mean, high = (each[-1] for each in (narrowing.low, narrowing.mean, narrowing.high))
    seen = f"{narrowing.concepts[-1]:,} concepts"
    if low is None or mean is None or high is None:
        return f"{narrowing.column} not known after {seen}"
    verdict = f"; the night's verdict: {narrowing.verdict}" if narrowing.verdict else ""
    return (
        f"{narrowing.column} {mean:+.4f} [{low:+.4f}, {high:+.4f}] after {seen}, margin "
        f"{narrowing.margin:g}{verdict}"
    )


def _point(look: Mapping[str, Any], column: str) -> Point | None:
    columns = look.get("columns")
    found = columns.get(column) if isinstance(columns, dict) else None
    if not isinstance(found, list) or len(found) != 3:
        return None
    low, mean, high = (float(x) if isinstance(x, int | float) else None for x in found)
    return low, mean, high


def _narrowing(
    column: str, against: str, margin: float, known: Sequence[tuple[Mapping[str, Any], Point]]
) -> Narrowing:
    return Narrowing(
        column,
        against,
        float(margin),
        [int(look["shards"]) for look, _ in known],
        [int(look["concepts"]) for look, _ in known],
        [low for _, (low, _, _) in known],
        [mean for _, (_, mean, _) in known],
        [high for _, (_, _, high) in known],
        known[-1][0].get("verdict"),
    )


def picture(narrowing: Narrowing, width: int = 48, most: int = 8) -> list[str]:
    """The interval at some of the looks, the first above: a line each, all of one scale.

    `[` and `]` are its ends, `+` the mean, `!` the margin, `0` no difference; an end that lies off
    the picture is not drawn.

    Args:
        width: columns of the scale.
        most: lines; the last look is always among them.
    """
    looks = [
        (concepts, low, mean, high)
        for concepts, low, mean, high in zip(
            narrowing.concepts, narrowing.low, narrowing.mean, narrowing.high, strict=True
        )
        if low is not None and mean is not None and high is not None
    ]
    if not looks:
        return []
    step = max(1, -(-len(looks) // most))
    shown = looks[::-1][::step][::-1]
    # By the later half: the first intervals are so wide that nothing would be seen of the last.
    last = shown[len(shown) // 2 :]
    least = min(-narrowing.margin, 0.0, *(low for _, low, _, _ in last))
    largest = max(0.0, *(high for _, _, _, high in last))
    scale = (width - 1) / (largest - least) if largest > least else 0.0

    def place(value: float) -> int:
        return round((value - least) * scale)

    lines = []
    for concepts, low, mean, high in shown:
        cells = ["-" if place(low) <= column <= place(high) else " " for column in range(width)]
        marks = ((0.0, "0"), (-narrowing.margin, "!"), (low, "["), (high, "]"), (mean, "+"))
        for value, mark in marks:
            if 0 <= place(value) < width:
                cells[place(value)] = mark
        lines.append(f"{concepts:>7,} {''.join(cells).rstrip()}")
    return lines
