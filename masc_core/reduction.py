"""How values against several references become one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from masc_core.defaults import ReferenceReduction


def reduce_references(values: Sequence[float], reduction: ReferenceReduction) -> float:
    """The mean or the largest of the values that are not NaN; NaN where none is.

    Example:
        >>> reduce_references([0.25, math.nan, 0.75], "mean")
        0.5
    """
    defined = [value for value in values if not math.isnan(value)]
    if not defined:
        return math.nan
    return max(defined) if reduction == "max" else sum(defined) / len(defined)
