"""Quantiles of many groups at once, against numpy's of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pipeline.results import quantiles
from jobs.pipeline.results.quantiles import LEVELS, quantiles_of_groups


def assert_like_numpy(groups: list[np.ndarray]) -> None:
    sizes = np.array([len(group) for group in groups], int)
    found = quantiles_of_groups(np.concatenate([np.empty(0), *groups]), sizes)
    assert found.shape == (len(groups), len(LEVELS))
    for group, own in zip(groups, found, strict=True):
        if not len(group):
            assert np.isnan(own).all()
            continue
        expected = np.quantile(group, list(LEVELS.values()))
        assert own == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_the_quantiles_worked_out_by_hand() -> None:
    # Of five values the ranks are 0.2, 1, 2, 3 and 3.8.
    [found] = quantiles_of_groups(np.array([4.0, 0.0, 10.0, 1.0, 2.0]), np.array([5]))
    assert found == pytest.approx([0.2, 1, 2, 4, 8.8])


@given(st.lists(st.lists(st.floats(-1, 1), max_size=20), max_size=12))
def test_small_groups_are_as_numpys(groups: list[list[float]]) -> None:
    assert_like_numpy([np.array(group, float) for group in groups])


def test_groups_of_every_size_are_as_numpys() -> None:
    rng = np.random.default_rng(0)
    sizes = [0, 1, 2, 3, 4095, 4096, 4097, 50_000, 0, 63, 64, 65, *rng.integers(0, 3_000, 200)]
    assert_like_numpy([rng.normal(size=size) for size in sizes])


def test_how_many_are_sorted_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantiles, "NUMBERS_AT_ONCE", quantiles.LARGE)
    rng = np.random.default_rng(1)
    assert_like_numpy([rng.normal(size=size) for size in rng.integers(0, 100, 300)])
