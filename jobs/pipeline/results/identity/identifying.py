"""From pairs to figures: does a column tell a subject from others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jobs.pipeline.results.identity.delong import delong_interval, estimate_auc, placements
from jobs.pipeline.results.identity.pairs import Pairs
from jobs.pipeline.results.identity.retrieval import average_precisions
from jobs.pipeline.results.intervals import Estimate, Interval, mean_interval


@dataclass(frozen=True, eq=False)
class Identity:
    """One column."""

    name: str
    within: np.ndarray
    """(m,) scores of pairs of one subject."""
    cross: np.ndarray
    """(n,) scores of pairs of two."""
    auc: Estimate
    """Over subjects."""
    delong: Interval
    """Of the AUC, as if pairs were independent."""
    retrieval: Interval
    """Mean average precision, its interval over subjects."""
    n_queries: int
    """Generations that have both sorts among their references."""
    n_subjects: int
    left_out: Mapping[str, int]
    """By cause, pairs without a score."""

    @property
    def delta(self) -> float:
        """Of the means."""
        return float(self.within.mean() - self.cross.mean())

    @property
    def delta_normalised(self) -> float:
        """Of the means of scores that go from 0 to 1 over all pairs; NaN where all are the same."""
        both = np.concatenate([self.within, self.cross])
        span = float(np.ptp(both))
        return self.delta / span if span > 0 else float("nan")


def identify(pairs: Pairs, columns: Sequence[str]) -> list[Identity]:
    """Every column that has a pair of each sort, over its own pairs."""
    return [
        _identity(pairs, name)
        for name in columns
        if len(set(pairs.is_within[~np.isnan(pairs.scores[name])])) == 2
    ]


def _identity(pairs: Pairs, name: str) -> Identity:
    is_scored = ~np.isnan(pairs.scores[name])
    scores, is_within = pairs.scores[name][is_scored], pairs.is_within[is_scored]
    rows, subjects = pairs.rows[is_scored], pairs.subjects[is_scored]
    within, cross = scores[is_within], scores[~is_within]
    precision = average_precisions(rows, scores, is_within, pairs.n_rows)
    asks = ~np.isnan(precision)
    subject_of_row = np.zeros(pairs.n_rows, int)
    subject_of_row[rows] = subjects[:, 0]
    counts = np.bincount(subject_of_row[asks])
    sums = np.bincount(subject_of_row[asks], precision[asks])
    return Identity(
        name,
        within,
        cross,
        estimate_auc(within, cross, subjects[is_within, 0], subjects[~is_within]),
        delong_interval(placements(within, cross)),
        mean_interval(sums[counts > 0], counts[counts > 0]),
        int(asks.sum()),
        len(np.unique(subjects[:, 0])),
        pairs.left_out.get(name, {}),
    )
