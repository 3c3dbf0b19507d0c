"""The cluster bootstrap over concepts, against formulas and a bootstrap written another way."""

from __future__ import annotations

import math
import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pipeline.results import intervals
from jobs.pipeline.results.intervals import mean_interval

Z = 1.959964
"""97.5 % quantile of the normal distribution."""


def concepts_of_unequal_size(concepts: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts of concepts with a mean of their own around 0.6."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 40, concepts)
    return counts * rng.normal(0.6, 0.1, concepts), counts


@pytest.mark.parametrize("concepts", [0, 1])
def test_fewer_than_two_concepts_have_no_interval(concepts: int) -> None:
    low, high = mean_interval(np.full(concepts, 3.0), np.full(concepts, 5))
    assert math.isnan(low) and math.isnan(high)


def test_two_concepts_of_one_sample_span_from_one_to_the_other() -> None:
    # A resample is (0, 0), (0, 1), (1, 0) or (1, 1): a quarter of the means are 0, a quarter 1.
    assert mean_interval(np.array([0.0, 1.0]), np.array([1, 1])) == (0.0, 1.0)


def test_concepts_with_the_same_mean_leave_no_doubt() -> None:
    counts = np.array([1, 7, 30])
    assert mean_interval(0.25 * counts, counts) == pytest.approx((0.25, 0.25), abs=1e-12)


def test_the_interval_is_the_normal_one_of_a_ratio_when_there_are_many_concepts() -> None:
    sums, counts = concepts_of_unequal_size(400, seed=3)
    mean = sums.sum() / counts.sum()
    error = math.sqrt(((sums - mean * counts) ** 2).sum()) / counts.sum()
    expected = (mean - Z * error, mean + Z * error)
    interval = mean_interval(sums, counts, resamples=20_000)
    assert interval == pytest.approx(expected, abs=0.1 * error)


def test_the_interval_is_that_of_a_bootstrap_written_sample_by_sample() -> None:
    draw = random.Random(8)
    samples = [[draw.betavariate(5, 3) for _ in range(draw.randint(1, 9))] for _ in range(12)]
    means = []
    for _ in range(5_000):
        drawn = [score for concept in draw.choices(samples, k=12) for score in concept]
        means.append(sum(drawn) / len(drawn))
    means.sort()
    sums = np.array([sum(concept) for concept in samples])
    counts = np.array([len(concept) for concept in samples])
    width = means[4_875] - means[125]
    assert mean_interval(sums, counts) == pytest.approx((means[125], means[4_875]), abs=width / 20)


def test_it_covers_the_true_mean_about_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(0)
    counts, covered, trials = np.full(60, 5), 0, 400
    for _ in range(trials):
        sums = counts * rng.normal(0.6, 0.1, 60)
        low, high = mean_interval(sums, counts, resamples=500)
        covered += low <= 0.6 <= high
    assert 0.91 < covered / trials < 0.98


def test_samples_of_one_concept_do_not_count_as_independent() -> None:
    # A hundred samples a concept say no more than one, when the concept alone decides the score.
    means = np.random.default_rng(1).normal(0.6, 0.1, 30)
    one = mean_interval(means, np.full(30, 1))
    assert mean_interval(means * 100, np.full(30, 100)) == pytest.approx(one)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    sums, counts = concepts_of_unequal_size(50, seed=1)
    assert mean_interval(sums, counts, seed=4) == mean_interval(sums, counts, seed=4)
    assert mean_interval(sums, counts, seed=4) != mean_interval(sums, counts, seed=5)


@given(
    concepts=st.lists(
        st.tuples(st.floats(-1, 1), st.integers(1, 1000)), min_size=2, max_size=12
    ).map(lambda pairs: np.array(pairs)),
    seed=st.integers(0, 2**32),
)
def test_the_interval_lies_within_the_concepts_means(concepts: np.ndarray, seed: int) -> None:
    means, counts = concepts.T
    low, high = mean_interval(means * counts, counts, seed=seed, resamples=50)
    assert means.min() - 1e-9 <= low <= high <= means.max() + 1e-9


def test_ten_thousand_concepts_are_not_held_at_once() -> None:
    sums, counts = concepts_of_unequal_size(10_000, seed=2)
    tracemalloc.start()
    mean_interval(sums, counts, resamples=500)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16e6  # all draws at once would be 40 MB, thrice


def test_how_many_concepts_are_drawn_at_once_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sums, counts = concepts_of_unequal_size(30, seed=6)
    at_once = mean_interval(sums, counts)
    monkeypatch.setattr(intervals, "DRAWS_AT_ONCE", 1)
    assert mean_interval(sums, counts) == at_once
