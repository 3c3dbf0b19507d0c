"""How sure a mean is, concepts being the unit of chance.

The samples of one concept share its references and its difficulty, so they are not independent
draws; concepts are. With few of them the percentile bootstrap and the normal interval are too
narrow, and where effects are skewed a symmetric interval misses on one side. Therefore:

1. The standard error is the jackknife's over concepts, CR3: each concept left out in turn, with all
   its samples (Cameron & Miller, A practitioner's guide to cluster-robust inference, 2015, VI.B).
2. One interval is the mean plus and minus that error times a quantile of t(G - 1), for G concepts.
3. The other is the bootstrap-t (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, section
   12.5): a resample draws as many concepts as there are, with replacement, each with all its
   samples, and its distance from the mean is measured by its own jackknife error.
4. Each end is the farther of the two. From `MANY` concepts on it is t's alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95
SEED = 0
RESAMPLES = 2_000
"""Efron & Tibshirani ask for 1,000 or more of an interval's ends; these ends move by about 3 % of
the interval's half-width from seed to seed."""
MANY = 1_000
"""Concepts from which on the two intervals hardly differ."""
DRAWS_AT_ONCE = 1 << 17
"""Concepts of resamples in one step: some 3 MB, whatever the number of concepts."""
ROUNDING = 1e-13
"""A variance this small beside the terms that it is the difference of is zero."""


@dataclass(frozen=True)
class Interval:
    """A mean, and where the mean over all concepts that there could be may lie."""

    mean: float
    """The sum of all scores over their number; NaN where there is no score."""
    low: float
    """NaN with fewer than two concepts."""
    high: float
    """NaN with fewer than two concepts."""
    standard_error: float
    """The jackknife's, over concepts; NaN with fewer than two."""


def mean_interval(
    sums: np.ndarray,
    counts: np.ndarray,
    level: float = LEVEL,
    seed: int = SEED,
    resamples: int = RESAMPLES,
) -> Interval:
    """The mean over the samples of concepts, sum(sums) / sum(counts), and its interval.

    With counts of 1 it is the plain mean of one value a concept, with its usual standard error.
    The draws depend on `seed` and the number of concepts alone: what other models there are changes
    nothing. Where all concepts have the same mean, the interval is that point.

    Args:
        sums: (G,) sum of the scores of each concept; in the same order from call to call, as the
            draws are of positions.
        counts: (G,) number of scores of each concept, 1 or more: a concept of which every score is
            NaN is left out.
        level: the share of such intervals that hold the truth, in (0, 1).
    """
    concepts = len(sums)
    if concepts == 0:
        return Interval(math.nan, math.nan, math.nan, math.nan)
    mean = float(sums.sum() / counts.sum())
    if concepts == 1:
        return Interval(mean, math.nan, math.nan, math.nan)
    residuals = sums - mean * counts
    changes = residuals / (counts.sum() - counts)
    error = math.sqrt((1 - 1 / concepts) * float(changes @ changes))
    tail = (1 - level) / 2
    most = float(stdtrit(concepts - 1, 1 - tail))
    least = -most
    if concepts < MANY:
        distances = _bootstrap_t(residuals, counts, seed, resamples)
        # Resamples without an error have no t. Where they are common (three concepts; scores that
        # are mostly the same), the others' tails are not those of all.
        if len(distances) > level * resamples:
            low_tail, high_tail = np.quantile(distances, [tail, 1 - tail])
            least, most = min(least, float(low_tail)), max(most, float(high_tail))
    return Interval(mean, mean - most * error, mean - least * error, error)


def _bootstrap_t(
    residuals: np.ndarray, counts: np.ndarray, seed: int, resamples: int
) -> np.ndarray:
    """How many of its own standard errors each resample's mean lies above the mean of all.

    Args:
        residuals: (G,) sum of the scores of each concept, the mean of all taken from each score.
        counts: (G,) number of scores of each concept.

    Returns:
        A value for each resample whose error is not 0: at most `resamples`.
    """
    concepts = len(counts)
    counts = counts.astype(float)
    totals = np.stack([counts, residuals], axis=1)
    products = np.stack([residuals**2, residuals * counts, counts**2], axis=1)
    draws = _draws(concepts, seed, resamples)
    step = max(1, DRAWS_AT_ONCE // concepts)
    distances = []
    for start in range(0, resamples, step):
        times = draws[start : start + step].astype(float)
        samples, excess = (times @ totals).T
        shift = excess / samples
        # The jackknife's sum of ((residual - shift * count) / others)^2 over the drawn, multiplied
        # out so that it is a matrix product. Concepts not drawn weigh 0, whatever their divisor.
        others = np.maximum(samples[:, None] - counts, 1)
        squares, mixed, sizes = ((times / others**2) @ products).T
        total = squares + shift**2 * sizes
        variance = (1 - 1 / concepts) * (total - 2 * shift * mixed)
        has_error = variance > ROUNDING * total
        distances.append(shift[has_error] / np.sqrt(variance[has_error]))
    return np.concatenate(distances)


@lru_cache(maxsize=4)
def _draws(concepts: int, seed: int, resamples: int) -> np.ndarray:
    """(resamples, concepts) how often each concept is drawn; 4 MB at most below `MANY`."""
    rng = np.random.default_rng(seed)
    times = np.empty((resamples, concepts), np.uint16)
    step = max(1, DRAWS_AT_ONCE // concepts)
    for start in range(0, resamples, step):
        chunk = times[start : start + step]
        drawn = rng.integers(concepts, size=chunk.shape)
        drawn += np.arange(len(chunk))[:, None] * concepts
        chunk[:] = np.bincount(drawn.ravel(), minlength=chunk.size).reshape(chunk.shape)
    return times
