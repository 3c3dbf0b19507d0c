"""Names beside points, so placed that none covers another; one that has no room is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jobs.pipeline.command.messages import printable

LONGEST = 26
LETTER, LINE = 7.0, 13.0
"""Pixels of a letter's width and a line's height, about, at 12 pixels."""
AWAY = 8.0


@dataclass(frozen=True)
class Label:
    """Where a name stands, and from which end it is written."""

    x: float
    y: float
    anchor: str
    text: str


def shortened(name: str, longest: int = LONGEST) -> str:
    """A name that has room in a chart.

    >>> shortened("a_very_long_name", 10)
    'a_very_lo…'
    """
    text = printable(name)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

PLACES = (
    (AWAY, -AWAY, "start"),
    (-AWAY, -AWAY, "end"),
    (AWAY, AWAY + 9, "start"),
    (-AWAY, AWAY + 9, "end"),
    (0.0, -AWAY, "middle"),
    (0.0, AWAY + 9, "middle"),
    (AWAY, 4.0, "start"),
    (-AWAY, 4.0, "end"),
)
"""Off its point, the best first."""


def placed(
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    width: float,
    height: float,
    lines: Sequence[Box] = (),
) -> list[Label | None]:
    """A label for each point, the first ones first; None where none of its places is free.

    Args:
        points: in pixels.
        width, height: that labels have to lie within.
        lines: what they cover only where there is no other place.
    """
    taken: list[Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    labels: list[Label | None] = []
    for (x, y), name in zip(points, names, strict=True):
        text = shortened(name)
        free = [
            (label, box)
            for label, box in _candidates(x, y, text)
            if box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height
            if not any(_meet(box, other) for other in taken)
        ]
        clear = [each for each in free if not any(_meet(each[1], line) for line in lines)]
        chosen = next(iter([*clear, *free]), None)
        labels.append(None if chosen is None else chosen[0])
        taken += [] if chosen is None else [chosen[1]]
    return labels


def _candidates(x: float, y: float, text: str) -> Iterator[tuple[Label, Box]]:
    """Labels of a point, and the room that each takes."""
    long = LETTER * len(text)
    for dx, dy, anchor in PLACES:
        left = x + dx - {"start": 0.0, "end": long, "middle": long / 2}[anchor]
        box = left, y + dy - LINE + 3, left + long, y + dy + 3
        yield Label(round(x + dx, 1), round(y + dy, 1), anchor, text), box


def _meet(one: Box, other: Box) -> bool:
    apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    return not apart
