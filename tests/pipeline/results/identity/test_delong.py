"""The uncertainty of an AUC: against its definition, and against leaving subjects out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jobs.pipeline.results.identity.delong import (
    UNKNOWN,
    delong_interval,
    estimate_auc,
    placements,
)
from jobs.pipeline.results.jackknife import estimate_figure


def by_definition(within: np.ndarray, cross: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's components: means of the kernel over the other sort."""
    kernel = (within[:, None] > cross) + 0.5 * (within[:, None] == cross)
    return kernel.mean(1), kernel.mean(0)


@pytest.mark.parametrize("levels", [3, 10, 10**6])
def test_placements_are_the_kernels_means_and_the_auc_is_scikit_learns(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for _ in range(10):
        within = rng.integers(0, levels, rng.integers(1, 30)) / levels + 0.1
        cross = rng.integers(0, levels, rng.integers(1, 30)) / levels
        found = placements(within, cross)
        of_within, of_cross = by_definition(within, cross)
        assert found.within == pytest.approx(of_within, abs=1e-12)
        assert found.cross == pytest.approx(of_cross, abs=1e-12)
        truth = np.r_[np.ones(len(within)), np.zeros(len(cross))]
        expected = roc_auc_score(truth, np.r_[within, cross])
        assert found.auc == pytest.approx(expected, abs=1e-12)


def test_delongs_interval_of_a_small_example_by_hand() -> None:
    # Placements 1, 1/2, 1 of the within and 1, 2/3 of the cross scores: AUC 5/6, variances of
    # 1/12 and 1/18, so the error is sqrt(1/36 + 1/36).
    found = delong_interval(placements(np.array([3.0, 1.0, 4.0]), np.array([0.0, 2.0])))
    assert found.mean == pytest.approx(5 / 6)
    assert found.standard_error == pytest.approx(math.sqrt(1 / 18))
    assert found.low == pytest.approx(5 / 6 - 1.959964 * math.sqrt(1 / 18), abs=1e-6)
    assert found.high == 1.0


@pytest.mark.parametrize(("within", "cross"), [([], [1.0]), ([1.0], [0.0, 2.0]), ([1.0], [])])
def test_with_fewer_than_two_of_a_sort_there_is_no_interval(
    within: list[float], cross: list[float]
) -> None:
    assert math.isnan(delong_interval(placements(np.array(within), np.array(cross))).low)


def test_a_subject_is_left_out_with_every_pair_that_it_takes_part_in() -> None:
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(8), 5)
    others = rng.integers(0, 8, (60, 2))
    others = others[others[:, 0] != others[:, 1]]
    within, cross = rng.integers(2, 9, 40) / 9, rng.integers(0, 7, len(others)) / 9
    without = []
    for g in range(8):
        kept, kept_cross = subjects != g, (others != g).all(1)
        truth = np.r_[np.ones(kept.sum()), np.zeros(kept_cross.sum())]
        without.append(roc_auc_score(truth, np.r_[within[kept], cross[kept_cross]]))
    of_within, of_cross = by_definition(within, cross)
    pull_of_within = (of_within - of_within.mean()) / len(within)
    pull_of_cross = (of_cross - of_cross.mean()) / len(cross)
    pulls = [
        pull_of_within[subjects == g].sum() + pull_of_cross[(others == g).any(1)].sum()
        for g in range(8)
    ]
    scale = math.sqrt(1 - (pull_of_cross**2).sum() / np.square(pulls).sum())
    expected = estimate_figure(of_within.mean(), np.array(without), scale)
    found = estimate_auc(within, cross, subjects, others)
    assert found.mean == pytest.approx(expected.mean, abs=1e-12)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-9)
    assert vars(found.interval()) == pytest.approx(vars(expected.interval()), rel=1e-9)


def test_where_every_pair_is_its_own_subject_the_error_is_delongs() -> None:
    rng = np.random.default_rng(1)
    within, cross = rng.normal(1, 1, 300), rng.normal(0, 1, 300)
    of_cross = np.stack([300 + np.arange(300), np.full(300, UNKNOWN)], axis=1)
    found = estimate_auc(within, cross, np.arange(300), of_cross)
    expected = delong_interval(placements(within, cross)).standard_error
    assert found.standard_error == pytest.approx(expected, rel=0.01)


def test_one_subject_alone_has_no_interval() -> None:
    cross = np.array([[0, UNKNOWN], [0, UNKNOWN]])
    found = estimate_auc(np.array([0.5, 0.6]), np.array([0.1, 0.2]), np.zeros(2, int), cross)
    assert found.mean == 1.0
    assert math.isnan(found.interval().low)
