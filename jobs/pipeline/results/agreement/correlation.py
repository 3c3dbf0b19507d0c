"""Whether a metric orders samples as people do; scipy's coefficients, NaN where they are undefined.

Undefined is the correlation with what is the same for all samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau, rankdata


@dataclass(frozen=True)
class Correlations:
    """Of one metric with the mean rating, in [-1, 1]."""

    rho: float
    """Spearman's; ties have the mean of their ranks."""
    pearson: float
    tau: float
    """Kendall's tau-b."""


def correlations(first: np.ndarray, second: np.ndarray) -> Correlations:
    """All three, of (N,) and (N,)."""
    if not (_varies(first) and _varies(second)):
        return Correlations(math.nan, math.nan, math.nan)
    tau = float(kendalltau(first, second).statistic)
    return Correlations(spearman(first, second), _pearson(first, second), tau)


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """The correlation of the ranks of (N,) and (N,).

    >>> round(spearman(np.array([1.0, 2, 3]), np.array([1.0, 9, 5])), 4)
    0.5
    """
    return _pearson(rankdata(first), rankdata(second))


def spearman_without_each(
    first: np.ndarray, second: np.ndarray, concepts: np.ndarray
) -> np.ndarray:
    """`spearman` with each concept left out, (G,).

    Args:
        concepts: (N,) number of each sample's concept, from 0 to G - 1.
    """
    n_concepts = 1 + int(concepts.max(initial=-1))
    # In order, so that what is left is nearly sorted: the ranks then cost half.
    order = np.argsort(first, kind="stable")
    first, second, concepts = first[order], second[order], concepts[order]
    return np.array(
        [spearman(first[concepts != g], second[concepts != g]) for g in range(n_concepts)]
    )


def _pearson(first: np.ndarray, second: np.ndarray) -> float:
    if not (_varies(first) and _varies(second)):
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])


def _varies(values: np.ndarray) -> bool:
    return len(values) > 1 and bool(np.ptp(values) > 0)  # not where it is NaN
