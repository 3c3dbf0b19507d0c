"""Krippendorff's alpha, for any number of raters with gaps (Krippendorff, Content Analysis, 2004,
chapter 11; Computing Krippendorff's Alpha-Reliability, 2011).

alpha = 1 - D_o / D_e, over the samples that at least two have rated. With m ratings x of a sample,
and N ratings v of all those samples together:

1. D_o, the disagreement that is seen, is the mean over ratings of the squared distance to the other
   ratings of the sample: sum over samples of (sum over ordered pairs of (x_i - x_j)^2) / (m - 1),
   by N. The sum over pairs is 2 m times the squares about the sample's mean.
2. D_e, the one expected of ratings dealt out at random, is the mean squared distance between any
   two of the N: 2 N Var(v) / (N - 1), with the population's variance.
3. Interval level: the values as they are. Ordinal level: the distance between two values is the
   number of ratings from the middle of one value's to the middle of the other's, which is the
   distance of their mean ranks among the N: the ranks then take the place of the values.

So neither level needs a matrix of coincidences, and values may be continuous.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

INTERVAL, ORDINAL = "interval", "ordinal"
MEASUREMENT_LEVELS = (INTERVAL, ORDINAL)


def krippendorff_alpha(samples: np.ndarray, values: np.ndarray, level: str = INTERVAL) -> float:
    """Agreement of the ratings of a sample with one another, at most 1; 0 is that of chance.

    Args:
        samples: (N,) number of the sample that each rating is of, from 0.
        values: (N,) finite ratings.
        level: `interval` or `ordinal`.

    Returns:
        NaN where no sample has two ratings, or all ratings are the same.

    Example:
        Two raters of three samples; the second has not rated the last. Of the four ratings left
        D_o = 2/4 and D_e = 2 * 4 * 0.6875 / 3.

        >>> samples, values = np.array([0, 0, 1, 1, 2]), np.array([0.0, 0.0, 1.0, 2.0, 9.0])
        >>> round(krippendorff_alpha(samples, values), 4)
        0.7273
    """
    samples, values = _of_pairs(samples, values)
    one = np.zeros(1 + samples.max(initial=-1), int)
    return float(_sums(samples, _on_level(values, level), one, 1).alpha()[0])


def alpha_without_each(
    samples: np.ndarray, values: np.ndarray, concepts: np.ndarray, level: str = INTERVAL
) -> np.ndarray:
    """`krippendorff_alpha` with each concept left out, (G,).

    Args:
        concepts: (U,) number of each sample's concept, from 0 to G - 1.
    """
    n_concepts = 1 + int(concepts.max(initial=-1))
    samples, values = _of_pairs(samples, values)
    if level == INTERVAL:
        sums = _sums(samples, _on_level(values, level), concepts, n_concepts)
        return sums.without_each().alpha()
    # The others' ranks are other ones without it.
    of = concepts[samples]
    return np.array(
        [krippendorff_alpha(samples[of != g], values[of != g], level) for g in range(n_concepts)]
    )


@dataclass(frozen=True)
class AlphaSums:
    """What alpha is computed from, by group: arrays of one shape."""

    n: np.ndarray
    """Ratings."""
    total: np.ndarray
    """Sum of the ratings."""
    squares: np.ndarray
    """Sum of their squares."""
    disagreement: np.ndarray
    """D_o times the ratings."""

    def without_each(self) -> AlphaSums:
        """For each group of the last axis, over all of its others."""
        arrays = (self.n, self.total, self.squares, self.disagreement)
        return AlphaSums(*(each.sum(-1, keepdims=True) - each for each in arrays))

    def together(self) -> AlphaSums:
        """Over all groups of the last axis."""
        arrays = (self.n, self.total, self.squares, self.disagreement)
        return AlphaSums(*(each.sum(-1) for each in arrays))

    def alpha(self) -> np.ndarray:
        """NaN where there are no ratings, or all are the same."""
        with np.errstate(invalid="ignore", divide="ignore"):
            deviations = self.squares - self.total**2 / self.n
            # What rounding leaves of ratings that are all the same is no disagreement.
            deviations = np.where(deviations > 1e-12 * self.squares, deviations, np.nan)
            expected = 2 * deviations / (self.n - 1)
            return 1 - self.disagreement / self.n / expected


def alpha_sums_of_two(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray, n_groups: int
) -> AlphaSums:
    """The sums, (n_groups,), of two raters who have both rated the same N samples.

    Args:
        first, second: (N,) their ratings. Best about 0: the sums are of squares.
        groups: (N,) number of each sample's group.
    """

    def add(weights: np.ndarray) -> np.ndarray:
        return np.bincount(groups, weights, n_groups)

    return AlphaSums(
        2.0 * np.bincount(groups, minlength=n_groups),
        add(first + second),
        add(first**2 + second**2),
        # Two ordered pairs of a sample, by m - 1 = 1.
        add(2 * (first - second) ** 2),
    )


def _of_pairs(samples: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ratings of samples that have two or more."""
    is_paired = np.bincount(samples)[samples] > 1 if len(samples) else np.zeros(0, bool)
    return samples[is_paired], values[is_paired]


def _on_level(values: np.ndarray, level: str) -> np.ndarray:
    """About 0, as sums of squares are exact there."""
    placed = rankdata(values) if level == ORDINAL else values
    return placed - placed.mean() if len(placed) else placed


def _sums(
    samples: np.ndarray, values: np.ndarray, concepts: np.ndarray, n_concepts: int
) -> AlphaSums:
    n_samples = len(concepts)
    m = np.bincount(samples, minlength=n_samples)
    total = np.bincount(samples, values, n_samples)
    deviations = (values - (total / np.maximum(m, 1))[samples]) ** 2
    seen = 2 * m / np.maximum(m - 1, 1) * np.bincount(samples, deviations, n_samples)
    of = concepts[samples]
    return AlphaSums(
        np.bincount(of, minlength=n_concepts).astype(float),
        np.bincount(of, values, n_concepts),
        np.bincount(of, values**2, n_concepts),
        np.bincount(concepts, seen, n_concepts),
    )
