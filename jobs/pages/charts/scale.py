"""A figure's place along an axis, and the round figures that are written beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    """A round figure, and where it stands."""

    at: float
    text: str


@dataclass(frozen=True)
class Scale:
    """Figures from `least` to `most` on pixels from `start` to `end`."""

    least: float
    most: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a figure stands, in tenths of a pixel."""
        share = (value - self.least) / (self.most - self.least)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, about: int = 5) -> list[Tick]:
        """Multiples of 1, 2 or 5 times a power of ten.

        >>> [tick.text for tick in Scale(0.03, 1.0, 0, 100).ticks()]
        ['0.2', '0.4', '0.6', '0.8', '1.0']
        """
        step = _step((self.most - self.least) / max(1, about))
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.least / step - 1e-9), math.floor(self.most / step + 1e-9)
        return [
            Tick(self.at(n * step), f"{n * step + 0.0:.{digits}f}") for n in range(first, last + 1)
        ]


def scale_of(
    values: Iterable[float | None], start: float, end: float, margin: float = 0.04
) -> Scale:
    """The scale that holds all of them, with a margin; those that are no numbers are left out."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    least, most = (min(known), max(known)) if known else (0.0, 1.0)
    if most - least < 1e-9:
        least, most = least - 0.01, most + 0.01
    room = margin * (most - least)
    return Scale(least - room, most + room, start, end)


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= rough - 1e-12)
