"""Fleiss' kappa (Measuring nominal scale agreement among many raters, 1971)."""

from __future__ import annotations

import math

import numpy as np


def fleiss_kappa(samples: np.ndarray, values: np.ndarray) -> float | None:
    """Agreement on which of the values it is, at most 1; 0 is that of chance.

    The raters of one sample need not be those of another.

    Args:
        samples: (N,) number of the sample that each rating is of, from 0; each has a rating.
        values: (N,) ratings.

    Returns:
        None where samples have different numbers of ratings, or one each; NaN where all ratings
        are the same.

    Example:
        Of three samples with two ratings each, two are agreed on; by chance it would be half.

        >>> samples, values = np.array([0, 0, 1, 1, 2, 2]), np.array([1.0, 1, 0, 0, 0, 1])
        >>> round(fleiss_kappa(samples, values), 4)
        0.3333
    """
    raters = np.bincount(samples) if len(samples) else np.zeros(1, int)
    n = int(raters[0])
    if n < 2 or (raters != n).any():
        return None
    values_there_are, place = np.unique(values, return_inverse=True)
    n_values = len(values_there_are)
    cells, counts = np.unique(samples * n_values + place, return_counts=True)
    agreed = ((counts**2).sum() / len(raters) - n) / (n * (n - 1))
    shares = np.bincount(cells % n_values, counts, n_values) / len(samples)
    by_chance = float((shares**2).sum())
    return float((agreed - by_chance) / (1 - by_chance)) if n_values > 1 else math.nan
