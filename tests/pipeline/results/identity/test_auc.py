"""AUC of pairs of one subject against pairs of two, by hand and by counting every pair of pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jobs.pipeline.results.identity.auc import auc, identity_auc, within_and_cross


def counted(within: np.ndarray, cross: np.ndarray) -> float:
    wins = 0.0
    for own in within:
        for other in cross:
            wins += 1.0 if own > other else 0.5 if own == other else 0.0
    return wins / (len(within) * len(cross))


@pytest.mark.parametrize(
    ("within", "cross", "expected"),
    [
        ([3.0, 4.0], [1.0, 2.0], 1.0),
        ([1.0], [1.0], 0.5),
        ([1.0, 3.0], [2.0, 0.0], 0.75),
        ([0.0, 1.0], [2.0, 3.0, 4.0], 0.0),
        ([0.5, 0.5, 0.9], [0.5, 0.1], 5 / 6),
    ],
)
def test_auc_is_the_chance_of_the_right_order(
    within: list[float], cross: list[float], expected: float
) -> None:
    assert auc(np.array(within), np.array(cross)) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("levels", [2, 5, 10**6])
def test_auc_counts_every_pair_of_pairs_with_ties_as_halves(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for _ in range(20):
        within, cross = (rng.integers(0, levels, rng.integers(1, 40)) / levels for _ in range(2))
        assert auc(within, cross) == pytest.approx(counted(within, cross), abs=1e-12)
        assert auc(cross, within) == pytest.approx(1 - counted(within, cross), abs=1e-12)


def test_a_score_that_is_nan_is_left_out() -> None:
    within, cross = np.array([1.0, math.nan, 3.0]), np.array([math.nan, 2.0, 0.0])
    assert auc(within, cross) == 0.75


@pytest.mark.parametrize(
    ("within", "cross"), [([], [1.0]), ([1.0], []), ([math.nan], [1.0]), ([1.0], [math.nan])]
)
def test_auc_of_nothing_is_nan(within: list[float], cross: list[float]) -> None:
    assert math.isnan(auc(np.array(within), np.array(cross)))


def test_pairs_are_of_different_photos() -> None:
    within, cross = within_and_cross(["cat", "dog", "cat"])
    assert within.tolist() == [[False, False, True], [False, False, False], [True, False, False]]
    assert cross.tolist() == [[False, True, False], [True, False, True], [False, True, False]]


def test_the_auc_of_a_matrix_leaves_its_diagonal_out() -> None:
    subjects = ["cat", "cat", "dog"]
    scores = np.array(
        [
            [1.0, 0.6, 0.3],
            [0.4, 1.0, 0.5],
            [0.2, 0.1, 1.0],
        ]
    )
    # Within: 0.6 and 0.4; cross: 0.3, 0.5, 0.2, 0.1. 0.6 is above all four, 0.4 above three.
    assert identity_auc(scores, subjects) == 7 / 8
