"""How sure an AUC is: over pairs that are independent, and over subjects where they are not.

DeLong, DeLong & Clarke-Pearson (Comparing the areas under two or more correlated receiver operating
characteristic curves, 1988): each score has a placement among those of the other sort, the AUC is
the mean of the placements, and its variance is that of the two means. The placements come from
ranks (Sun & Xu, Fast implementation of DeLong's algorithm, 2014).

Pairs of one subject share its photos, and a pair of two subjects belongs to both. So each subject
is left out in turn, with every pair that it takes part in. A pair of two subjects then goes twice;
where it has a deviation of its own, beside those of its two subjects, that deviation would count
twice, and its square is taken off once (Aronow, Samii & Assenova, Cluster-robust variance
estimation for dyadic data, 2015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from jobs.pipeline.results.identity.auc import auc
from jobs.pipeline.results.intervals import LEVEL, Estimate, Interval
from jobs.pipeline.results.jackknife import estimate_figure

UNKNOWN = -1
"""In place of a subject's number: whose photo it is is not known, so it is nobody's."""


@dataclass(frozen=True, eq=False)
class Placements:
    """Where each score stands among those of the other sort."""

    auc: float
    """The mean of either; NaN without scores of both sorts."""
    within: np.ndarray
    """(m,) share of the cross scores below it, ties counting half."""
    cross: np.ndarray
    """(n,) share of the within scores above it, ties counting half."""


def placements(within: np.ndarray, cross: np.ndarray) -> Placements:
    """Of finite scores (m,) of pairs of one subject and (n,) of pairs of two."""
    m, n = len(within), len(cross)
    if not (m and n):
        return Placements(math.nan, np.full(m, math.nan), np.full(n, math.nan))
    ranks = rankdata(np.concatenate([within, cross]))
    of_within = (ranks[:m] - rankdata(within)) / n
    of_cross = 1 - (ranks[m:] - rankdata(cross)) / m
    return Placements(float(of_within.mean()), of_within, of_cross)


def delong_interval(placed: Placements, level: float = LEVEL) -> Interval:
    """As if all pairs were independent; within [0, 1], and NaN with fewer than two of a sort."""
    m, n = len(placed.within), len(placed.cross)
    if min(m, n) < 2:
        return Interval(placed.auc, math.nan, math.nan, math.nan)
    error = math.sqrt(placed.within.var(ddof=1) / m + placed.cross.var(ddof=1) / n)
    half = float(ndtri((1 + level) / 2)) * error
    return Interval(placed.auc, max(0.0, placed.auc - half), min(1.0, placed.auc + half), error)


def estimate_auc(
    within: np.ndarray,
    cross: np.ndarray,
    subject_of_within: np.ndarray,
    subjects_of_cross: np.ndarray,
) -> Estimate:
    """The AUC, and how sure it is over subjects.

    Args:
        within, cross: finite scores (m,) and (n,).
        subject_of_within: (m,) number of each pair's subject, from 0.
        subjects_of_cross: (n, 2) numbers of each pair's two subjects, or `UNKNOWN`.
    """
    placed = placements(within, cross)
    numbers = [subject_of_within, subjects_of_cross[subjects_of_cross != UNKNOWN]]
    subjects, renumbered = np.unique(np.concatenate(numbers), return_inverse=True)
    of_within = renumbered[: len(within)]
    of_cross = np.full(subjects_of_cross.shape, UNKNOWN)
    of_cross[subjects_of_cross != UNKNOWN] = renumbered[len(within) :]
    without = _without_each(placed, within, cross, of_within, of_cross, len(subjects))
    return estimate_figure(placed.auc, without, _scale(placed, of_within, of_cross, len(subjects)))


def _without_each(
    placed: Placements,
    within: np.ndarray,
    cross: np.ndarray,
    of_within: np.ndarray,
    of_cross: np.ndarray,
    n_subjects: int,
) -> np.ndarray:
    """(G,) AUC of the pairs that a subject takes no part in; NaN where there are none left."""
    m, n = len(within), len(cross)
    pairs, sides = np.nonzero(of_cross != UNKNOWN)
    own_within = _places(of_within, np.arange(m), n_subjects)
    own_cross = _places(of_cross[pairs, sides], pairs, n_subjects)
    left = np.full(n_subjects, math.nan)
    for g, (a, b) in enumerate(zip(own_within, own_cross, strict=True)):
        if len(a) == m or len(b) == n:
            continue
        # Wins of all, less those of its own pairs; what is of both was taken off twice.
        wins = m * n * placed.auc - n * placed.within[a].sum() - m * placed.cross[b].sum()
        if len(a) and len(b):
            wins += len(a) * len(b) * auc(within[a], cross[b])
        left[g] = wins / ((m - len(a)) * (n - len(b)))
    return left


def _places(of: np.ndarray, places: np.ndarray, n_subjects: int) -> list[np.ndarray]:
    """By subject, the places that are its own."""
    order = np.argsort(of, kind="stable")
    ends = np.cumsum(np.bincount(of, minlength=n_subjects))
    return np.split(places[order], ends[:-1]) if n_subjects else []


def _scale(
    placed: Placements, of_within: np.ndarray, of_cross: np.ndarray, n_subjects: int
) -> float:
    """What the jackknife's error is multiplied by, as pairs of two subjects went twice.

    At least that of pairs which have nothing but deviations of their own.
    """
    pull_of_within = (placed.within - placed.auc) / len(placed.within)
    pull_of_cross = (placed.cross - placed.auc) / len(placed.cross)
    pulls = np.bincount(of_within, pull_of_within, n_subjects)
    for side in of_cross.T:
        is_known = side != UNKNOWN
        pulls += np.bincount(side[is_known], pull_of_cross[is_known], n_subjects)
    went_twice = (of_cross != UNKNOWN).all(1)
    total = float(pulls @ pulls)
    twice = float((pull_of_cross[went_twice] ** 2).sum())
    return math.sqrt(max(0.5, 1 - twice / total)) if total else 1.0
