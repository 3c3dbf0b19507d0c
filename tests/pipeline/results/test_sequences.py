"""Confidence sequences: the published boundary, from its definition; and what it holds."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from jobs.pipeline.results.intervals import estimate_mean
from jobs.pipeline.results.sequences import boundary, running_estimate, tuned

LEVELS = (0.9, 0.95, 0.975, 0.9999)


def _mixture(total: float, n: int, r: float) -> mpmath.mpf:
    """Robbins' normal mixture of likelihood ratios, by quadrature: what the boundary is made of."""
    density = mpmath.sqrt(1 / (2 * mpmath.pi * r))
    spread = mpmath.sqrt(r / (n * r + 1))
    middle = total * r / (n * r + 1)
    places = [middle + spread * each for each in (-40, -8, -3, 0, 3, 8, 40)]
    return mpmath.quad(
        lambda at: density * mpmath.exp(at * total - at**2 * n / 2 - at**2 / (2 * r)), places
    )


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [1, 10, 150, 5_000])
def test_at_the_boundary_the_mixture_martingale_is_one_over_alpha(n: int, level: float) -> None:
    # Ville's inequality: the chance that it ever comes so far is alpha.
    with mpmath.workdps(30):
        found = _mixture(n * boundary(n, level, 0.3), n, 0.3)
        assert float(found * (1 - mpmath.mpf(level))) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [2, 10, 150])
def test_the_interval_is_the_papers_formula(n: int, level: float) -> None:
    values = np.random.default_rng(n).normal(0.3, 2.0, n)
    found = running_estimate(values, tuned(0.95, 10)).interval(level)
    with mpmath.workdps(40):
        alpha, rho = 1 - mpmath.mpf(level), mpmath.sqrt(mpmath.mpf(tuned(0.95, 10)))
        numbers = [mpmath.mpf(float(each)) for each in values]
        mean = mpmath.fsum(numbers) / n
        deviation = mpmath.sqrt(mpmath.fsum((each - mean) ** 2 for each in numbers) / (n - 1))
        # Theorem 2.2, as it is printed.
        root = mpmath.sqrt(
            2 * (n * rho**2 + 1) / (n**2 * rho**2) * mpmath.log(mpmath.sqrt(n * rho**2 + 1) / alpha)
        )
        low, high = mean - deviation * root, mean + deviation * root
    assert found.low == pytest.approx(float(low), abs=1e-9)
    assert found.high == pytest.approx(float(high), abs=1e-9)


@pytest.mark.parametrize("n", [10, 150])
def test_it_is_tuned_to_be_narrowest_after_so_many_concepts(n: int) -> None:
    best = minimize_scalar(
        lambda log: boundary(n, 0.95, math.exp(log)), bounds=(-12, 4), method="bounded"
    )
    assert math.log(tuned(0.95, n)) == pytest.approx(best.x, abs=1e-3)
    assert boundary(n, 0.95, tuned(0.95, n)) <= best.fun


@pytest.mark.parametrize("at", [-0.9, -0.4, 0.2, 0.8])
def test_p_is_one_minus_the_level_of_the_interval_that_ends_there(at: float) -> None:
    estimate = running_estimate(np.random.default_rng(1).normal(0, 1, 40), tuned(0.95, 10))
    p = estimate.p_value(at)
    if p < 1:
        interval = estimate.interval(1 - p)
        assert min(abs(interval.low - at), abs(interval.high - at)) < 1e-9
    else:
        assert abs(estimate.mean - at) < estimate.standard_error * 3


def test_its_error_is_the_jackknifes_of_the_usual_estimate() -> None:
    values = np.random.default_rng(2).standard_t(3, 25)
    usual, running = estimate_mean(values, np.ones(25)), running_estimate(values, 1.0)
    assert running.standard_error == pytest.approx(usual.standard_error, rel=1e-12)
    assert running.mean == pytest.approx(usual.mean, rel=1e-12)


def test_one_concept_has_no_interval() -> None:
    found = running_estimate(np.array([0.5]), 1.0)
    assert math.isnan(found.interval().low)
    assert math.isnan(found.p_value(1.0))


def test_whoever_looks_every_time_is_seldom_wrong_and_the_usual_interval_often() -> None:
    rng, n = np.random.default_rng(3), np.arange(2, 151)
    values = rng.normal(size=(1_000, 150))
    mean = values.cumsum(1)[:, 1:] / n
    error = np.sqrt(((values**2).cumsum(1)[:, 1:] - n * mean**2) / (n - 1))
    seen = n >= 10

    def ever_off(reach: np.ndarray) -> float:
        return float((np.abs(mean) > reach * error)[:, seen].any(1).mean())

    r = tuned(0.95, 10)
    assert ever_off(np.array([boundary(int(each), 0.95, r) for each in n])) <= 0.06
    # Armitage, McPherson & Rowe (1969): some 0.3 of those who look at every observation.
    assert ever_off(1.96 / np.sqrt(n)) > 0.25
