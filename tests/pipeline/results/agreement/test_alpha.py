"""Krippendorff's alpha against the PyPI package, and what leaving a concept out changes."""

from __future__ import annotations

import math

import krippendorff
import numpy as np
import pytest

from jobs.pipeline.results.agreement.alpha import (
    MEASUREMENT_LEVELS,
    alpha_sums_of_two,
    alpha_without_each,
    krippendorff_alpha,
)


def long(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of (raters, samples) with NaN for gaps, the samples and values of what was rated."""
    raters, samples = np.nonzero(~np.isnan(matrix))
    return samples, matrix[raters, samples]


def random_ratings(seed: int, raters: int, samples: int, values: int, gaps: float) -> np.ndarray:
    """Raters who agree in part, on a scale of so many values; gaps by chance."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=samples)
    drawn = truth + rng.normal(0, 0.8, (raters, samples))
    edges = np.quantile(drawn, np.linspace(0, 1, values + 1)[1:-1])
    matrix = np.searchsorted(edges, drawn).astype(float) ** 1.5
    matrix[rng.random(matrix.shape) < gaps] = math.nan
    return matrix


@pytest.mark.parametrize("level", MEASUREMENT_LEVELS)
@pytest.mark.parametrize("gaps", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("raters", [2, 3, 7])
def test_alpha_is_that_of_the_package(raters: int, gaps: float, level: str) -> None:
    for seed in range(6):
        values = [2, 3, 5, 9, 40, 7][seed]
        matrix = random_ratings(seed, raters, 60, values, gaps)
        expected = krippendorff.alpha(reliability_data=matrix, level_of_measurement=level)
        assert krippendorff_alpha(*long(matrix), level) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("level", MEASUREMENT_LEVELS)
def test_continuous_ratings_far_from_zero_are_as_exact(level: str) -> None:
    rng = np.random.default_rng(0)
    matrix = 1e4 + rng.normal(size=80) + rng.normal(0, 0.5, (4, 80))
    expected = krippendorff.alpha(reliability_data=matrix - 1e4, level_of_measurement=level)
    assert krippendorff_alpha(*long(matrix), level) == pytest.approx(expected, abs=1e-9)


def test_krippendorffs_own_example() -> None:
    """Computing Krippendorff's Alpha-Reliability, 2011, section C: four raters, twelve units."""
    nan = math.nan
    matrix = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
            [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
        ]
    )
    assert round(krippendorff_alpha(*long(matrix), "ordinal"), 3) == 0.815
    assert round(krippendorff_alpha(*long(matrix), "interval"), 3) == 0.849


def test_where_nothing_varies_or_nothing_is_rated_twice_there_is_no_alpha() -> None:
    nothing = np.zeros(0, int), np.zeros(0)
    alike = np.array([0, 0, 1, 1]), np.full(4, 0.3)
    single = np.arange(5), np.arange(5.0)
    for level in MEASUREMENT_LEVELS:
        for samples, values in (nothing, alike, single):
            assert math.isnan(krippendorff_alpha(samples, values, level))


@pytest.mark.parametrize("level", MEASUREMENT_LEVELS)
def test_without_a_concept_is_what_is_left_when_its_ratings_are_taken_out(level: str) -> None:
    matrix = random_ratings(3, 3, 40, 5, 0.3)
    concepts = np.random.default_rng(1).integers(0, 7, 40)
    without = alpha_without_each(*long(matrix), concepts, level)
    for g in range(7):
        expected = krippendorff.alpha(matrix[:, concepts != g], level_of_measurement=level)
        assert without[g] == pytest.approx(expected, abs=1e-9)


def test_the_sums_of_two_raters_give_their_alpha_and_that_without_a_group() -> None:
    rng = np.random.default_rng(2)
    first, second, groups = rng.random(50), rng.random(50), rng.integers(0, 4, 50)
    sums = alpha_sums_of_two(first, second, groups, 4)

    def of_package(kept: np.ndarray) -> float:
        matrix = np.stack([first, second])[:, kept]
        return krippendorff.alpha(matrix, level_of_measurement="interval")

    everything = np.ones(50, bool)
    assert sums.together().alpha() == pytest.approx(of_package(everything), abs=1e-9)
    for g, alpha in enumerate(sums.without_each().alpha()):
        assert alpha == pytest.approx(of_package(groups != g), abs=1e-9)
