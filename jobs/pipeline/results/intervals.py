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

A difference of two models is such a mean too, of one paired difference a concept: its counts are 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from scipy.special import nctdtrinc, stdtr, stdtrit

LEVEL = 0.95
SEED = 0
RESAMPLES = 2_000
"""Efron & Tibshirani ask for 1,000 or more of an interval's ends; these ends move by about 3 % of
the interval's half-width from seed to seed."""
MANY = 1_000
"""Concepts from which on the two intervals hardly differ."""
DRAWS_AT_ONCE = 1 << 15
"""Concepts of resamples in one step: few enough for a core's own cache."""
POWER = 0.8
"""Of what is called detectable."""
ROWS_AT_ONCE = 128
"""Means that share one step's resamples: 2 MB an intermediate array."""
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

    def within(self, least: float, most: float) -> Interval:
        """Its ends no farther out than the figure can be."""
        low, high = (float(np.clip(end, least, most)) for end in (self.low, self.high))
        return replace(self, low=low, high=high)


@dataclass(frozen=True, eq=False)
class Estimate:
    """A mean and its uncertainty, of which intervals of any level can be asked."""

    mean: float
    """NaN where there is no score."""
    standard_error: float
    """The jackknife's, over concepts; NaN with fewer than two."""
    concepts: int
    distances: np.ndarray
    """How many of its own errors each resample's mean lies above the mean: (n,), n at most
    `resamples`, as resamples without an error are left out. Empty from `MANY` concepts on."""
    resamples: int

    def critical(self, level: float) -> tuple[float, float]:
        """How many standard errors the ends lie below and above the mean: two positive numbers."""
        tail = (1 - level) / 2
        below = above = float(stdtrit(self.concepts - 1, 1 - tail))
        if self._bootstrap_has_a_say(level):
            low_tail, high_tail = np.quantile(self.distances, [tail, 1 - tail])
            # A resample far above stands for a truth far below.
            below, above = max(below, float(high_tail)), max(above, -float(low_tail))
        return below, above

    def interval(self, level: float = LEVEL) -> Interval:
        """The interval that holds the truth in a share `level` of such samples."""
        if self.concepts < 2:
            return Interval(self.mean, math.nan, math.nan, math.nan)
        below, above = self.critical(level)
        error = self.standard_error
        return Interval(self.mean, self.mean - below * error, self.mean + above * error, error)

    def p_value(self, at: float = 0.0) -> float:
        """One minus the level of the interval that ends at `at`; NaN with fewer than two concepts.

        Two-sided: twice the larger of t's tail and the bootstrap's. 1 where `at` is the mean.
        """
        if self.concepts < 2:
            return math.nan
        if self.mean == at:
            return 1.0
        if self.standard_error == 0:
            return 0.0
        away = (self.mean - at) / self.standard_error
        tail = float(stdtr(self.concepts - 1, -abs(away)))
        if self._bootstrap_has_a_say(LEVEL):
            # The inverse of numpy's linear quantile.
            ranks = np.linspace(0, 1, len(self.distances))
            share = float(np.interp(away, self._ordered, ranks))
            tail = max(tail, 1 - share if away > 0 else share)
        return min(1.0, 2 * tail)

    def minimum_detectable_effect(self, level: float, power: float = POWER) -> float:
        """How far below a margin the truth lies when such samples show it with this power.

        Shown is a drop whose interval of this level ends below the margin; the errors of the means
        of such samples are this one's, and t-distributed. NaN with fewer than two concepts.
        """
        if self.concepts < 2:
            return math.nan
        _, above = self.critical(level)
        return self.standard_error * noncentrality(self.concepts - 1, above, power)

    def _bootstrap_has_a_say(self, level: float) -> bool:
        """Resamples without an error have no t. Where they are common (three concepts; scores that
        are mostly the same), the others' tails are not those of all.
        """
        return len(self.distances) > level * self.resamples

    @cached_property
    def _ordered(self) -> np.ndarray:
        return np.sort(self.distances)


def noncentrality(df: float, critical: float, power: float = POWER) -> float:
    """How many standard errors off a truth is whose t exceeds `critical` with this power.

    >>> round(noncentrality(59, 2.001), 3)  # tables: 2.80 where there are many
    2.848
    """
    return float(nctdtrinc(df, 1 - power, critical))


def mean_interval(
    sums: np.ndarray,
    counts: np.ndarray,
    level: float = LEVEL,
    seed: int = SEED,
    resamples: int = RESAMPLES,
) -> Interval:
    """The mean over the samples of concepts, sum(sums) / sum(counts), and its interval.

    See `estimate_mean`.

    Args:
        level: the share of such intervals that hold the truth, in (0, 1).
    """
    return estimate_mean(sums, counts, seed, resamples).interval(level)


def estimate_mean(
    sums: np.ndarray, counts: np.ndarray, seed: int = SEED, resamples: int = RESAMPLES
) -> Estimate:
    """The mean over the samples of concepts, sum(sums) / sum(counts), and how sure it is.

    With counts of 1 it is the plain mean of one value a concept, with its usual standard error.
    The draws depend on `seed` and the number of concepts alone: what other models there are changes
    nothing. Where all concepts have the same mean, the interval is that point.

    Args:
        sums: (G,) sum of the scores of each concept; in the same order from call to call, as the
            draws are of positions.
        counts: (G,) number of scores of each concept, 1 or more: a concept of which every score is
            NaN is left out.
    """
    concepts = len(sums)
    if concepts < 2:
        mean = float(sums.sum() / counts.sum()) if concepts else math.nan
        return Estimate(mean, math.nan, concepts, np.empty(0), resamples)
    mean = float(sums.sum() / counts.sum())
    residuals = sums - mean * counts
    changes = residuals / (counts.sum() - counts)
    error = math.sqrt((1 - 1 / concepts) * float(changes @ changes))
    is_few = concepts < MANY
    distances = _bootstrap_t(residuals, counts, seed, resamples) if is_few else np.empty(0)
    return Estimate(mean, error, concepts, distances, resamples)


def estimate_means(
    values: np.ndarray, seed: int = SEED, resamples: int = RESAMPLES
) -> list[Estimate]:
    """`estimate_mean` of each of K rows, with counts of 1; of many rows in a fraction of the time.

    Args:
        values: (K, G) finite, one value a concept.
    """
    rows, concepts = values.shape
    if concepts < 2 or concepts >= MANY:
        return [estimate_mean(row, np.ones(concepts), seed, resamples) for row in values]
    times = _draws(concepts, seed, resamples).astype(float)
    means = values.mean(1)
    found = []
    for start in range(0, rows, ROWS_AT_ONCE):
        own = slice(start, start + ROWS_AT_ONCE)
        residuals = values[own] - means[own, None]
        shift = times @ residuals.T / concepts
        total = times @ (residuals**2).T
        # (G - 1) / G times the sum of squared jackknife changes, as of counts of 1.
        variance = (total - concepts * shift**2) / concepts / (concepts - 1)
        errors = np.sqrt((residuals**2).sum(1) / concepts / (concepts - 1))
        for row, (mean, error) in enumerate(zip(means[own], errors, strict=True)):
            has_error = variance[:, row] * concepts * (concepts - 1) > ROUNDING * total[:, row]
            distances = shift[has_error, row] / np.sqrt(variance[has_error, row])
            found.append(Estimate(float(mean), float(error), concepts, distances, resamples))
    return found


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
        # In place, since the memory of intermediate arrays is a third of the time.
        weights = samples[:, None] - counts
        np.maximum(weights, 1, out=weights)
        np.square(weights, out=weights)
        np.divide(times, weights, out=weights)
        squares, mixed, sizes = (weights @ products).T
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
