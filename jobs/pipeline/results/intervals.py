"""How sure a model's mean is: the cluster bootstrap over concepts.

The samples of one concept share its references and its difficulty, so they are not independent
draws; concepts are. One resample draws as many concepts as there are, with replacement, and takes
each drawn concept with all its samples. The interval is the percentile interval (Efron &
Tibshirani, An Introduction to the Bootstrap, 1993, sections 8.4 and 13.3) of the mean over the
samples so drawn (Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 3.8).
"""

from __future__ import annotations

import numpy as np

LEVEL = 0.95
SEED = 0
RESAMPLES = 2_000
"""Efron & Tibshirani ask for 1,000 or more of a percentile interval; the ends of this one move by
about 3 % of the interval's half-width from seed to seed."""
DRAWS_AT_ONCE = 1 << 18
"""Concepts drawn in one step: some 6 MB of indices and gathered sums, whatever the number of
concepts."""


def mean_interval(
    sums: np.ndarray, counts: np.ndarray, seed: int = SEED, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """The 95 % interval of sum(sums) / sum(counts), concepts being the unit of chance.

    The draws depend on `seed` and the number of concepts alone: what other models there are
    changes nothing.

    Args:
        sums: (C,) sum of the scores of each concept; in the same order from call to call, as the
            draws are of positions.
        counts: (C,) number of scores of each concept, 1 or more: a concept of which every score is
            NaN is left out.

    Returns:
        (ci_low, ci_high); both NaN when there are fewer than two concepts.
    """
    concepts = len(sums)
    if concepts < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, DRAWS_AT_ONCE // concepts)
    for start in range(0, resamples, step):
        chunk = means[start : start + step]
        drawn = rng.integers(concepts, size=(len(chunk), concepts))
        chunk[:] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
