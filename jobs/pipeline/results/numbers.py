"""A figure as people and as JSON read it."""

from __future__ import annotations

import math
from collections.abc import Mapping

ABSENT = "–"  # noqa: RUF001 - the dash of a table, not a minus


def number(value: float) -> float | None:
    """None where it is none that JSON has."""
    return float(value) if math.isfinite(value) else None


def plain(value: float, digits: int = 4) -> str:
    """A mean, an error, a p."""
    return f"{value:.{digits}f}" if math.isfinite(value) else ABSENT


def signed(value: float, digits: int = 4) -> str:
    """A difference, to the digits that its size is read by."""
    # Rounded first: a minus before zeros says nothing.
    return f"{round(value, digits) + 0.0:+.{digits}f}" if math.isfinite(value) else ABSENT


def p_value(p: float) -> str:
    """A chance; below what anybody reads it is only said to be."""
    return "<0.0001" if p < 1e-4 else plain(p)


def counted(causes: Mapping[str, int]) -> str:
    """Why something is left out, and how often, in words.

    >>> counted({"no row": 1200, "NaN": 3})
    '1,200 no row, 3 NaN'
    """
    return ", ".join(f"{n:,} {cause}" for cause, n in causes.items())
