"""From ratings and columns to figures: people with one another, and each metric with people.

1. The common keys are the samples that are rated and have a value in every column; every row is
   computed on these, and so are the scales.
2. A metric is brought to [0, 1] by its least and largest value over them, ratings by theirs, or by
   the scale that the protocol gives.
3. A row's alpha is the mean of its alphas with each rater (the Kd_o of DreamBench++).
4. Intervals are over concepts: each is left out in turn, on the scales of all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from jobs.pipeline.errors import CallError
from jobs.pipeline.results.agreement.alpha import (
    AlphaSums,
    alpha_sums_of_two,
    alpha_without_each,
    krippendorff_alpha,
)
from jobs.pipeline.results.agreement.correlation import (
    Correlations,
    correlations,
    spearman_without_each,
)
from jobs.pipeline.results.agreement.kappa import fleiss_kappa
from jobs.pipeline.results.agreement.protocols import Protocol
from jobs.pipeline.results.agreement.ratings import Column, Ratings, Sample
from jobs.pipeline.results.identity.auc import auc
from jobs.pipeline.results.intervals import Estimate
from jobs.pipeline.results.jackknife import estimate_figure
from jobs.pipeline.results.numbers import counted

OF_ALPHA, OF_RHO = (-math.inf, 1.0), (-1.0, 1.0)
"""What these figures can be: ends of rough intervals may lie farther out."""


@dataclass(frozen=True)
class People:
    """How far raters agree with one another."""

    alpha: float
    estimate: Estimate
    """Of alpha, which is not rounded here."""
    kappa: float | None
    """Fleiss'; None where raters are not complete."""
    n: int
    """Rated samples."""
    n_ratings: int


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far one metric agrees with people."""

    alpha: float
    correlations: Correlations
    """With the mean rating."""
    n: int
    """Samples."""
    auc: float | None
    """Of the samples that people rate highest against those that they rate lowest; None where the
    protocol has no such."""
    estimate: Estimate
    """Of alpha, which is not rounded here."""
    without: np.ndarray
    """(G,) alpha with each concept left out."""


@dataclass(frozen=True, eq=False)
class Row:
    """One metric of a table."""

    name: str
    pooled: Agreement
    rho: Estimate
    rho_without: np.ndarray
    """(G,) Spearman's rho with each concept left out."""
    per_model: Mapping[str, Agreement]


@dataclass(frozen=True)
class Difference:
    """The first row's figures minus the second's, on the same samples."""

    first: str
    second: str
    alpha: Estimate
    rho: Estimate

    def reversed(self) -> Difference:
        """The second row's minus the first's."""
        return Difference(self.second, self.first, _negative(self.alpha), _negative(self.rho))


@dataclass(frozen=True)
class Section:
    """A table: one question, people and the metrics that answer it."""

    name: str
    protocol: Protocol
    people: People
    people_per_model: Mapping[str, People]
    rows: Sequence[Row]
    differences: Sequence[Difference]
    n_rated: int
    n_missing: int
    """Ratings that were asked for and not given."""
    left_out: Mapping[str, Mapping[str, int]]
    """By column (and rater, where all have to have rated a sample) and cause, the rated samples
    that it has no value for."""
    notes: Sequence[str] = field(default_factory=list)


def agree(
    name: str, ratings: Ratings, columns: Sequence[Column], protocol: Protocol, notes: Sequence[str]
) -> Section:
    """One table.

    Args:
        columns: the metrics, in the order of the rows.
        notes: what a reader should know of the data.

    Raises:
        CallError: two columns of one name, or no sample that is rated has a value in all of them.
    """
    twice = [each for each, n in Counter(column.name for column in columns).items() if n > 1]
    if twice:
        raise CallError(f"{name}: two metrics are called {twice[0]}")
    is_common = np.array(
        [all(sample in column.values for column in columns) for sample in ratings.samples], bool
    )
    lacking: dict[str, dict[str, int]] = {}
    if protocol.by_every_rater:
        is_common &= np.bincount(ratings.sample) == len(ratings.raters)
        lacking |= _not_rated(ratings)
    lacking |= {column.name: left_out(ratings.samples, column) for column in columns}
    if not is_common.any():
        raise CallError(f"{name}: {_why_nothing_is_common(len(ratings.samples), lacking)}")
    common = ratings.only(is_common)
    of_people = common if protocol.people_on_common_keys else ratings
    rows = _rows(common, columns, protocol)
    return Section(
        name,
        protocol,
        _people(of_people, protocol),
        {model: _people(own, protocol) for model, own in _by_model(of_people).items()},
        rows,
        [_difference(first, second) for first, second in combinations(rows, 2)],
        len(ratings.samples),
        ratings.n_missing,
        {column: causes for column, causes in lacking.items() if causes},
        [*notes, *_notes(ratings, common, columns)],
    )


def _not_rated(ratings: Ratings) -> dict[str, dict[str, int]]:
    """By rater, the samples that others have rated alone."""
    by_rater = np.bincount(ratings.rater, minlength=len(ratings.raters))
    lacking = len(ratings.samples) - by_rater
    return {
        rater: {"not rated": int(n)} if n else {}
        for rater, n in zip(ratings.raters, lacking, strict=True)
    }


def left_out(samples: Sequence[Sample], column: Column) -> dict[str, int]:
    """By cause, the samples that a column has no value for."""
    causes = Counter(column.why_not(each) for each in samples if each not in column.values)
    return dict(causes.most_common())


def _why_nothing_is_common(n_rated: int, lacking: Mapping[str, Mapping[str, int]]) -> str:
    causes = "; ".join(f"{name}: {counted(of)}" for name, of in lacking.items() if of)
    return f"of {n_rated:,} rated samples none has a value in every column: {causes}"


def _notes(ratings: Ratings, common: Ratings, columns: Sequence[Column]) -> list[str]:
    """Of models that are rated, and are in no row."""
    models = dict.fromkeys(sample.model for sample in ratings.samples)
    kept = {sample.model for sample in common.samples}
    notes = []
    for model in models.keys() - kept:
        own = [sample for sample in ratings.samples if sample.model == model]
        lacking = [c.name for c in columns if not any(each in c.values for each in own)]
        because = f"{', '.join(lacking)} without a value for it" if lacking else "no common sample"
        notes.append(f"{model} is rated and in no row: {because}")
    return sorted(notes)


def _by_model(ratings: Ratings) -> dict[str, Ratings]:
    models = ratings.models
    return {model: ratings.only(models == model) for model in dict.fromkeys(models)}


def _people(ratings: Ratings, protocol: Protocol) -> People:
    alpha = krippendorff_alpha(ratings.sample, ratings.value, protocol.level)
    without = alpha_without_each(ratings.sample, ratings.value, ratings.concepts, protocol.level)
    return People(
        _rounded(alpha, protocol),
        estimate_figure(alpha, without),
        fleiss_kappa(ratings.sample, ratings.value),
        len(ratings.samples),
        len(ratings.value),
    )


def _rows(common: Ratings, columns: Sequence[Column], protocol: Protocol) -> list[Row]:
    low, high = protocol.scale or (common.value.min(), common.value.max())
    rated = Ratings(
        common.samples, common.raters, common.sample, common.rater, _scaled(common.value, low, high)
    )
    means, models, concepts = common.means, common.models, common.concepts
    rows = []
    for column in columns:
        values = np.array([column.values[sample] for sample in common.samples])
        ends = (low, high) if column.is_rating else (values.min(), values.max())
        scaled = _scaled(values, *ends)
        pooled = _agreement(rated, scaled, means, protocol)
        without = spearman_without_each(values, means, concepts)
        per_model = {}
        for model in dict.fromkeys(models):
            own = models == model
            per_model[model] = _agreement(rated.only(own), scaled[own], means[own], protocol)
        rho = estimate_figure(pooled.correlations.rho, without)
        rows.append(Row(column.name, pooled, rho, without, per_model))
    return rows


def _agreement(
    rated: Ratings, scaled: np.ndarray, means: np.ndarray, protocol: Protocol
) -> Agreement:
    """Of one metric over the samples of `rated`, both on [0, 1]."""
    concepts = rated.concepts
    sums = _sums_by_rater(rated, scaled, concepts)
    by_rater = sums.together().alpha()
    is_defined = np.isfinite(by_rater)
    alpha, rounded, without = math.nan, math.nan, np.full(sums.n.shape[1], math.nan)
    if is_defined.any():
        alpha = float(by_rater[is_defined].mean())
        each = [_rounded(float(one), protocol) for one in by_rater[is_defined]]
        rounded = _rounded(float(np.mean(each)), protocol)
        without = _mean_of_defined(sums.without_each().alpha())
    extremes = None
    if protocol.extremes is not None:
        lowest, highest = protocol.extremes
        extremes = auc(scaled[means >= highest], scaled[means <= lowest])
    return Agreement(
        rounded,
        correlations(scaled, means),
        len(scaled),
        extremes,
        estimate_figure(alpha, without),
        without,
    )


def _mean_of_defined(alphas: np.ndarray) -> np.ndarray:
    """(G,) mean over raters of (R, G); who has rated one concept only has no say without it."""
    n = np.isfinite(alphas).sum(0)
    totals = np.nansum(alphas, axis=0)
    return np.divide(totals, n, out=np.full(len(n), math.nan), where=n > 0)


def _sums_by_rater(rated: Ratings, scaled: np.ndarray, concepts: np.ndarray) -> AlphaSums:
    """Of the metric and each rater, (R, G)."""
    shape = len(rated.raters), 1 + int(concepts.max())
    groups = rated.rater * shape[1] + concepts[rated.sample]
    # About 0, where sums of squares are exact.
    of_metric, of_people = scaled[rated.sample] - 0.5, rated.value - 0.5
    sums = alpha_sums_of_two(of_metric, of_people, groups, shape[0] * shape[1])
    return AlphaSums(*(each.reshape(shape) for each in vars(sums).values()))


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """NaN where there is nothing to scale by."""
    return (values - low) / (high - low) if high > low else np.full(len(values), math.nan)


def _rounded(alpha: float, protocol: Protocol) -> float:
    """By numpy's rule, as in the authors' scripts: the mean of two is half the time a tie."""
    return alpha if protocol.decimals is None else float(np.round(alpha, protocol.decimals))


def _difference(first: Row, second: Row) -> Difference:
    return Difference(
        first.name,
        second.name,
        estimate_figure(
            first.pooled.estimate.mean - second.pooled.estimate.mean,
            first.pooled.without - second.pooled.without,
        ),
        estimate_figure(first.rho.mean - second.rho.mean, first.rho_without - second.rho_without),
    )


def _negative(estimate: Estimate) -> Estimate:
    return replace(estimate, mean=-estimate.mean, distances=-estimate.distances)
