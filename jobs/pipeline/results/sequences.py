"""How sure a mean is while concepts still come: intervals that hold at every number of them.

An interval of `intervals.py` holds the truth with its level once, at a number of concepts that was
settled beforehand. Whoever looks after every shard, and stops when the interval lies well, is wrong
far more often. A confidence sequence holds at all numbers of concepts together, so that one may
stop at any, for any reason. This is the asymptotic one of Waudby-Smith, Arbour, Sinha, Kennedy &
Ramdas (Time-uniform central limit theory and asymptotic confidence sequences, arXiv 2103.06476,
theorem 2.2): after n concepts the mean plus and minus

    s * sqrt(2 * (n r + 1) / (n^2 r) * log(sqrt(n r + 1) / alpha)),    r = rho^2,

s being the standard deviation over the concepts so far. The parameter r says after how many
concepts it is narrowest (their section B.2), not whether it holds. s has n - 1 for its divisor, and
theirs n: the same in the limit, and wider before it. There is no factor for how many concepts there
are in all: it is about the mean over the concepts that there could be.

What "asymptotic" leaves open is measured by `tests/benchmarks/early.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import lambertw

from jobs.pipeline.results.intervals import RESAMPLES, Estimate


def tuned(level: float, concepts: int) -> float:
    """The parameter r with which the interval of this level is narrowest after so many concepts.

    It is the r that solves `n r - log(n r + 1) = -2 log(alpha)`.

    Args:
        level: above 0 and below 1.
        concepts: n, 1 or more.
    """
    alpha = 1 - level
    return (-float(lambertw(-(alpha**2) / math.e, -1).real) - 1) / concepts


def boundary(concepts: int, level: float, r: float) -> float:
    """How many standard deviations of the concepts each end lies off the mean.

    Args:
        concepts: n, 1 or more.
        r: of `tuned`.

    Example:
        Half as wide again as the interval that may be looked at once, 0.1984.

        >>> round(boundary(100, 0.95, tuned(0.95, 100)), 4)
        0.3035
    """
    spread = concepts * r + 1
    # The logarithm of a root, as half of one: alpha may be as small as floats go.
    log = math.log(spread) / 2 - math.log(1 - level)
    return math.sqrt(2 * spread / (concepts**2 * r) * log)


@dataclass(frozen=True, eq=False)
class RunningEstimate(Estimate):
    """A mean over the concepts so far; its intervals hold whenever they are looked at."""

    r: float
    """Of `tuned`."""

    def critical(self, level: float) -> tuple[float, float]:
        """How many standard errors the ends lie below and above the mean."""
        off = boundary(self.concepts, level, self.r) * math.sqrt(self.concepts)
        return off, off

    def p_value(self, at: float = 0.0) -> float:
        """One minus the level of the interval that ends at `at`; NaN with fewer than two concepts.

        1 also where every interval holds `at`.
        """
        if self.concepts < 2:
            return math.nan
        if self.mean == at:
            return 1.0
        if self.standard_error == 0:
            return 0.0
        away = (self.mean - at) / self.standard_error
        spread = self.concepts * self.r + 1
        log = math.log(spread) / 2 - away**2 * (spread - 1) / spread / 2
        return math.exp(min(0.0, log))


def running_estimate(values: np.ndarray, r: float) -> RunningEstimate:
    """Of the mean over concepts.

    Args:
        values: (G,) finite, one of each concept so far.
        r: of `tuned`.
    """
    concepts = len(values)
    mean = float(np.mean(values)) if concepts else math.nan
    error = float(np.std(values, ddof=1)) / math.sqrt(concepts) if concepts > 1 else math.nan
    return RunningEstimate(mean, error, concepts, np.empty(0), RESAMPLES, r)
