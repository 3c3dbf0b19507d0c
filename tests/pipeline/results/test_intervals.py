"""Intervals over concepts, against formulas, loops written another way, and how often they hold."""

from __future__ import annotations

import math
import random
import statistics
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jobs.pipeline.results import intervals
from jobs.pipeline.results.intervals import (
    Interval,
    estimate_mean,
    estimate_means,
    mean_interval,
)
from tests.benchmarks.coverage import share_held

Z = 1.959964
"""97.5 % quantile of the normal distribution."""


def concepts_of_unequal_size(concepts: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts of concepts with a mean of their own around 0.6."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 40, concepts)
    return counts * rng.normal(0.6, 0.1, concepts), counts


def skewed_concepts(concepts: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A few of them are far better than the others."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 21, concepts)
    return counts * rng.lognormal(size=concepts), counts


def jackknife(sums: list[float], counts: list[int]) -> tuple[float, float]:
    """The mean and its standard error, each concept left out in turn."""
    n, total = sum(counts), math.fsum(sums)
    mean = total / n
    without = [(total - s) / (n - c) for s, c in zip(sums, counts, strict=True)]
    share = (len(sums) - 1) / len(sums)
    return mean, math.sqrt(share * math.fsum((other - mean) ** 2 for other in without))


def ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def test_no_concept_has_no_mean_and_one_no_interval() -> None:
    none = mean_interval(np.array([]), np.array([], int))
    assert all(math.isnan(value) for value in (none.mean, *ends(none), none.standard_error))
    one = mean_interval(np.array([3.0]), np.array([5]))
    assert one.mean == 0.6
    assert all(math.isnan(value) for value in (*ends(one), one.standard_error))


def test_two_concepts_of_one_sample_are_ts_alone() -> None:
    # Resamples of both have the mean of both, those of one of them no error: no tail to speak of.
    interval = mean_interval(np.array([0.0, 1.0]), np.array([1, 1]))
    assert interval.standard_error == pytest.approx(0.5)  # |0 - 1| / 2
    assert ends(interval) == pytest.approx((0.5 - 12.7062 * 0.5, 0.5 + 12.7062 * 0.5), abs=1e-4)


def test_concepts_with_the_same_mean_leave_no_doubt() -> None:
    counts = np.array([1, 7, 30])
    interval = mean_interval(0.25 * counts, counts)
    assert interval == Interval(0.25, 0.25, 0.25, 0.0)
    no_difference = mean_interval(np.zeros(12), np.ones(12, int))
    assert no_difference == Interval(0.0, 0.0, 0.0, 0.0)


def test_the_error_is_the_jackknifes_worked_out_by_hand() -> None:
    # Means without each: 3/4, 2/3, 1/5; of all: 3/6. Squared differences: 1/16, 1/36, 9/100.
    interval = mean_interval(np.array([0.0, 1.0, 2.0]), np.array([2, 3, 1]))
    expected = math.sqrt(2 / 3 * (1 / 16 + 1 / 36 + 9 / 100))
    assert interval.mean == 0.5
    assert interval.standard_error == pytest.approx(expected, rel=1e-12)


@given(st.lists(st.tuples(st.floats(-1, 1), st.integers(1, 1000)), min_size=2, max_size=12))
def test_the_error_is_that_of_leaving_each_concept_out(concepts: list[tuple[float, int]]) -> None:
    sums, counts = [mean * n for mean, n in concepts], [n for _, n in concepts]
    interval = mean_interval(np.array(sums), np.array(counts), resamples=50)
    mean, error = jackknife(sums, counts)
    assert interval.mean == pytest.approx(mean, rel=1e-9, abs=1e-12)
    assert interval.standard_error == pytest.approx(error, rel=1e-9, abs=1e-12)
    assert interval.low <= interval.mean <= interval.high


def test_with_counts_of_1_the_error_is_the_plain_means() -> None:
    values = [0.3, -0.2, 0.7, 0.1, 0.05]
    interval = mean_interval(np.array(values), np.ones(5, int))
    assert interval.mean == pytest.approx(statistics.fmean(values))
    assert interval.standard_error == pytest.approx(statistics.stdev(values) / math.sqrt(5))


def test_the_interval_is_the_normal_one_of_a_ratio_when_there_are_many_concepts() -> None:
    sums, counts = concepts_of_unequal_size(400, seed=3)
    mean = sums.sum() / counts.sum()
    error = math.sqrt(((sums - mean * counts) ** 2).sum()) / counts.sum()
    expected = (mean - Z * error, mean + Z * error)
    interval = mean_interval(sums, counts, resamples=20_000)
    assert ends(interval) == pytest.approx(expected, abs=0.1 * error)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.975])
def test_from_a_thousand_concepts_on_it_is_ts(level: float) -> None:
    sums, counts = concepts_of_unequal_size(1_000, seed=3)
    mean, error = jackknife(sums.tolist(), counts.tolist())
    expected = stats.t.interval(level, 999, loc=mean, scale=error)
    assert ends(mean_interval(sums, counts, level)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("concepts", [4, 10, 60])
def test_each_end_is_the_farther_of_ts_and_of_a_bootstrap_written_as_a_loop(concepts: int) -> None:
    sums, counts = skewed_concepts(concepts, seed=concepts)
    mean, error = jackknife(sums.tolist(), counts.tolist())
    distances = []
    for times in intervals._draws(concepts, seed=4, resamples=300):
        drawn = np.repeat(np.arange(concepts), times)
        assert len(drawn) == concepts
        own_mean, own_error = jackknife(sums[drawn].tolist(), counts[drawn].tolist())
        if len(set(drawn)) > 1:
            distances.append((own_mean - mean) / own_error)
    low, high = np.quantile(distances, [0.025, 0.975])
    t = stats.t.ppf(0.975, concepts - 1)
    expected = mean - max(t, high) * error, mean - min(-t, low) * error
    assert ends(mean_interval(sums, counts, seed=4, resamples=300)) == pytest.approx(
        expected, rel=1e-9
    )
    assert low < -t, "the slice shows an end that is the bootstrap's"


def test_the_interval_is_that_of_a_bootstrap_written_sample_by_sample() -> None:
    draw = random.Random(8)
    samples = [
        [10 * draw.betavariate(1, 9) ** 2 for _ in range(draw.randint(2, 9))] for _ in range(12)
    ]

    def of(concepts: list[list[float]]) -> tuple[float, float]:
        return jackknife([math.fsum(c) for c in concepts], [len(c) for c in concepts])

    mean, error = of(samples)
    distances = []
    for _ in range(5_000):
        own_mean, own_error = of(draw.choices(samples, k=12))
        distances.append((own_mean - mean) / own_error)
    distances.sort()
    t = stats.t.ppf(0.975, 11)
    low = mean - max(t, distances[4_875]) * error
    high = mean - min(-t, distances[125]) * error
    assert high > mean + t * error, "the bootstrap's end is the farther one"
    sums = np.array([sum(concept) for concept in samples])
    counts = np.array([len(concept) for concept in samples])
    assert ends(mean_interval(sums, counts)) == pytest.approx((low, high), abs=(high - low) / 20)


def test_where_many_resamples_have_no_error_the_bootstrap_has_no_say() -> None:
    # A third of the resamples hold zeros only. The others' lower tail is not that of all.
    sums, counts = np.array([0, 0, 0, 0, 0, 0, 0, 1.0]), np.ones(8, int)
    mean, error = jackknife(sums.tolist(), counts.tolist())
    expected = stats.t.interval(0.95, 7, loc=mean, scale=error)
    assert ends(mean_interval(sums, counts)) == pytest.approx(expected, rel=1e-9)


def test_one_huge_concept_makes_the_interval_wide() -> None:
    # 10,000 of 10,009 samples are one concept's: the others say little of it, nor it of them.
    counts = np.array([10_000, *[1] * 9])
    sums = counts * np.array([0.9, *np.linspace(0.3, 0.4, 9)])
    interval = mean_interval(sums, counts)
    assert math.isfinite(interval.low) and math.isfinite(interval.high)
    assert interval.low < 0.4


@pytest.mark.parametrize(
    ("effects", "concepts", "least", "most"),
    [("normal", 8, 93, 98), ("normal", 60, 93, 98), ("log-normal", 16, 88, 100)],
)
def test_it_holds_the_true_mean_as_often_as_it_says(
    effects: str, concepts: int, least: float, most: float
) -> None:
    # All of it: python -m tests.benchmarks 'only=[coverage]'
    assert least <= share_held(effects, concepts, draws=400) <= most


def test_it_covers_the_true_mean_about_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(0)
    counts, covered, trials = np.full(60, 5), 0, 400
    for _ in range(trials):
        sums = counts * rng.normal(0.6, 0.1, 60)
        low, high = ends(mean_interval(sums, counts, resamples=500))
        covered += low <= 0.6 <= high
    assert 0.91 < covered / trials < 0.98


def test_samples_of_one_concept_do_not_count_as_independent() -> None:
    # A hundred samples a concept say no more than one, when the concept alone decides the score.
    means = np.random.default_rng(1).normal(0.6, 0.1, 30)
    one = mean_interval(means, np.full(30, 1))
    assert ends(mean_interval(means * 100, np.full(30, 100))) == pytest.approx(ends(one))


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    sums, counts = skewed_concepts(50, seed=1)
    assert mean_interval(sums, counts, seed=4) == mean_interval(sums, counts, seed=4)
    assert mean_interval(sums, counts, seed=4) != mean_interval(sums, counts, seed=5)


@pytest.mark.parametrize("concepts", [999, 10_000])
def test_the_draws_of_many_concepts_are_not_held_at_once(concepts: int) -> None:
    sums, counts = concepts_of_unequal_size(concepts, seed=2)
    intervals._draws.cache_clear()
    tracemalloc.start()
    mean_interval(sums, counts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16e6  # 2,000 resamples of 999 concepts would be 16 MB, thrice


def test_how_many_concepts_are_drawn_at_once_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sums, counts = skewed_concepts(30, seed=6)
    at_once = mean_interval(sums, counts)
    monkeypatch.setattr(intervals, "DRAWS_AT_ONCE", 1)
    intervals._draws.cache_clear()
    assert ends(mean_interval(sums, counts)) == pytest.approx(ends(at_once), rel=1e-12)


@pytest.mark.parametrize("concepts", [3, 12, 60, 1_000])
def test_many_means_at_once_have_the_estimates_that_each_has(concepts: int) -> None:
    values = np.random.default_rng(7).lognormal(size=(150, concepts))
    values[3] = 0.5
    ones = np.ones(concepts, int)
    for row, found in zip(values[::30], estimate_means(values)[::30], strict=True):
        alone = estimate_mean(row, ones)
        assert (found.mean, found.standard_error) == pytest.approx(
            (alone.mean, alone.standard_error), rel=1e-9
        )
        for level in (0.9, 0.95, 0.975):
            assert ends(found.interval(level)) == pytest.approx(ends(alone.interval(level)))
    same = estimate_means(values)[3]
    assert ends(same.interval()) == (0.5, 0.5)
