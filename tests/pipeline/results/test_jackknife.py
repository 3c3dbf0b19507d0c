"""A figure that is no mean, as a mean over concepts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from jobs.pipeline.results.intervals import estimate_mean
from jobs.pipeline.results.jackknife import estimate_figure, values_by_concept


def test_of_a_mean_it_is_the_interval_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(size=30)
    without = (values.sum() - values) / 29
    found, expected = estimate_figure(values.mean(), without), estimate_mean(values, np.ones(30))
    assert values_by_concept(values.mean(), without) == pytest.approx(values, abs=1e-12)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-9)
    assert vars(found.interval()) == pytest.approx(vars(expected.interval()), rel=1e-9)


def test_the_error_of_a_correlation_is_scipys_jackknife() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=40)
    y = x + rng.normal(size=40)
    places = np.arange(40)
    without = np.array([np.corrcoef(x[places != g], y[places != g])[0, 1] for g in places])
    found = estimate_figure(np.corrcoef(x, y)[0, 1], without)
    # The jackknife by its definition (Efron & Tibshirani, 11.5).
    expected = math.sqrt(39 / 40 * ((without - without.mean()) ** 2).sum())
    assert found.standard_error == pytest.approx(expected, rel=1e-9)
    assert found.mean == pytest.approx(stats.pearsonr(x, y).statistic)


@pytest.mark.parametrize(
    ("figure", "without"),
    [
        (0.5, [0.5]),
        (0.5, [0.5, 0.5]),
        (0.5, [0.5, math.nan, 0.4]),
        (math.nan, [0.5, 0.4, 0.3]),
        (0.5, []),
    ],
)
def test_where_it_is_undefined_it_has_no_interval(figure: float, without: list[float]) -> None:
    found = estimate_figure(figure, np.array(without))
    assert math.isnan(found.interval().low) and math.isnan(found.interval().high)
    assert math.isnan(found.p_value())
