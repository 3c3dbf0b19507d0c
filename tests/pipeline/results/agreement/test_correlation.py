"""Rank correlations against scipy's own, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from jobs.pipeline.results.agreement.correlation import correlations, spearman_without_each


def test_the_three_are_those_of_scipy_with_ties_too() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 6, 200) / 2, rng.normal(size=200)
    second += first
    found = correlations(first, second)
    assert found.rho == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)
    assert found.pearson == pytest.approx(stats.pearsonr(first, second).statistic, abs=1e-12)
    assert found.tau == pytest.approx(stats.kendalltau(first, second).statistic, abs=1e-12)


def test_four_samples_by_hand() -> None:
    # Ranks 1 2 3 4 and 2 1 4 3: rho = 1 - 6 * 4 / 60; four pairs of six in order.
    found = correlations(np.array([1.0, 2, 3, 4]), np.array([0.2, 0.1, 0.9, 0.8]))
    assert found.rho == pytest.approx(0.6)
    assert found.tau == pytest.approx((4 - 2) / 6)


@pytest.mark.parametrize(
    ("first", "second"), [([1.0, 1.0], [0.0, 1.0]), ([0.0, 1.0], [2.0, 2.0]), ([1.0], [1.0])]
)
def test_what_is_the_same_for_all_samples_orders_none(
    first: list[float], second: list[float]
) -> None:
    found = correlations(np.array(first), np.array(second))
    assert all(map(math.isnan, vars(found).values()))


def test_without_a_concept() -> None:
    rng = np.random.default_rng(1)
    first, second, concepts = rng.integers(0, 9, 60), rng.random(60), rng.integers(0, 5, 60)
    for g, rho in enumerate(spearman_without_each(first, second, concepts)):
        kept = concepts != g
        expected = stats.spearmanr(first[kept], second[kept]).statistic
        assert rho == pytest.approx(expected, abs=1e-12)
