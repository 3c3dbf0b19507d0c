"""Which concepts, prompts or tags changed: looked at beside the verdict, not gated on.

1. A concept's mean difference is held against its own error, over its prompts.
2. With a handful of prompts that error is itself a guess. Smyth's moderated t (Linear models and
   empirical Bayes methods, 2004, section 6) draws the variances of all concepts together, as far
   as they look alike, and counts the degrees of freedom that this lends.
3. Benjamini-Hochberg (1995) over all concepts, once among drops and once among rises, each with
   half of what may be false.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma, stdtr
from scipy.stats import false_discovery_control

from jobs.pipeline.results.comparison.pairing import Differences
from jobs.pipeline.results.comparison.tags import TagDifferences
from jobs.pipeline.results.intervals import Estimate, estimate_mean

LEAST_POOLED = 3
"""Variances from which on something can be said of how they vary."""
SMALLEST_VARIANCE = 1e-5
"""Of the median one: a variance of zero has no logarithm (as limma does)."""


@dataclass(frozen=True)
class Tested:
    """Differences of N things, and which of them are real."""

    mean: np.ndarray
    """(N,) differences; NaN without a pair."""
    p: np.ndarray
    """(N,) two-sided p of no difference; NaN where there is no error to hold it against."""
    p_adjusted: np.ndarray
    """(N,) at most q where, among those named at q, a share of q is false on average."""

    def named(self, q: float) -> np.ndarray:
        """(N,) bool, those of which a share of `q` at most is false on average."""
        return np.nan_to_num(self.p_adjusted, nan=1.0) <= q


def concept_changes(differences: Differences) -> Tested:
    """Whether the mean of each concept's pairs is off zero."""
    variance, df = moderated(differences.variance, differences.df)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = differences.mean / np.sqrt(variance * differences.share)
    t = np.where((differences.mean == 0) & (df > 0), 0.0, t)
    p_drop = np.where(df > 0, _t_below(t, df), np.nan)
    return _adjusted(differences.mean, p_drop)


def tag_changes(tags: list[TagDifferences]) -> tuple[Tested, list[Estimate]]:
    """Whether the mean over the concepts of each tag is off zero; and those means."""
    estimates = [estimate_mean(tag.means, np.ones(len(tag.means))) for tag in tags]
    # Twice the smaller tail is p_value's; the side is the mean's.
    halves = np.array([each.p_value() / 2 for each in estimates])
    means = np.array([each.mean for each in estimates])
    return _adjusted(means, np.where(means > 0, 1 - halves, halves)), estimates


def moderated(variance: np.ndarray, df: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances drawn towards what they have in common, and their degrees of freedom.

    Args:
        variance: (G,) each estimated with `df`; NaN where that is 0.
        df: (G,) 0 or more.

    Returns:
        Two (G,). Where fewer than `LEAST_POOLED` are known, the arguments as they are.
    """
    known = (df > 0) & np.isfinite(variance)
    if known.sum() < LEAST_POOLED or not variance[known].any():
        return variance, np.where(known, df, 0)
    own, own_df = variance[known], df[known].astype(float)
    floor = SMALLEST_VARIANCE * float(np.median(own[own > 0]))
    prior, prior_df = _prior(np.maximum(own, floor), own_df)
    everything = own_df.sum()
    if math.isinf(prior_df):
        return np.full(len(df), prior), np.full(len(df), everything)
    own = np.where(known, variance, 0.0)
    posterior = (prior_df * prior + df * own) / (prior_df + df)
    return posterior, np.minimum(prior_df + df, everything)


def _prior(variance: np.ndarray, df: np.ndarray) -> tuple[float, float]:
    """The scaled inverse chi-square that the variances come from, by the moments of their logs."""
    logs = np.log(variance) - digamma(df / 2) + np.log(df / 2)
    spread = float(np.var(logs, ddof=1) - np.mean(polygamma(1, df / 2)))
    if spread <= 0:
        return float(np.exp(logs.mean())), math.inf
    # The half of the degrees of freedom whose trigamma is the spread that is left.
    half = float(np.exp(brentq(lambda x: float(polygamma(1, math.exp(x))) - spread, -20, 40)))
    return float(np.exp(logs.mean() + digamma(half) - math.log(half))), 2 * half


def _t_below(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    """(G,) chance of a t so low."""
    with np.errstate(invalid="ignore"):
        below = stdtr(np.where(df > 0, df, np.nan), np.where(np.isfinite(t), t, 0.0))
    return np.where(np.isposinf(t), 1.0, np.where(np.isneginf(t), 0.0, below))


def _adjusted(mean: np.ndarray, p_drop: np.ndarray) -> Tested:
    """Benjamini-Hochberg on either side.

    Args:
        p_drop: (N,) one-sided p of a drop; NaN where it is not known.
    """
    known = np.isfinite(p_drop)
    adjusted = np.full(len(mean), np.nan)
    p = np.full(len(mean), np.nan)
    if known.any():
        drop, rise = p_drop[known], 1 - p_drop[known]
        p[known] = np.minimum(1, 2 * np.minimum(drop, rise))
        either = np.minimum(false_discovery_control(drop), false_discovery_control(rise))
        adjusted[known] = np.minimum(1, 2 * either)
    return Tested(mean, p, adjusted)
