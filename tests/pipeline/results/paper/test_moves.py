"""What masks move of scores and ranks, by numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.pipeline.results.paper.moves import Decided, moves

NAN = float("nan")
KEYS = ["a", "b", "c", "d", "e"]
GIVEN = np.array([0.9, 0.7, 0.5, 0.3, NAN])


def test_differences_and_ranks_are_of_the_samples_that_have_both() -> None:
    # b falls from the second place to the last, and c and d each rise by one.
    found = moves(KEYS, GIVEN, {"grown": np.array([0.9, 0.2, 0.6, 0.3, 0.8])})
    [own] = found.by_mask
    assert (own.mask, own.n, own.n_lost) == ("grown", 4, 0)
    assert own.median == pytest.approx(0.05)  # of 0, 0, 0.1, 0.5
    assert own.p95 == pytest.approx(0.1 + 0.85 * 0.4)
    assert own.largest == pytest.approx(0.5)
    assert own.median_rank == pytest.approx(1 / 4)  # of 0, 1, 1, 2
    assert own.p95_rank == pytest.approx(1.85 / 4)
    assert [each.key for each in found.decided] == ["b", "c", "d"]
    assert found.decided[0] == Decided("b", "grown", (0.7, 0.2), (2, 4), 4)


def test_a_sample_is_named_by_the_mask_that_moves_it_farthest() -> None:
    found = moves(
        KEYS,
        GIVEN,
        {
            "one": np.array([0.7, 0.9, 0.5, 0.3, NAN]),
            "two": np.array([0.1, 0.7, 0.5, 0.3, NAN]),
            "lost": np.array([0.9, NAN, NAN, 0.3, NAN]),
        },
        most=2,
    )
    assert [(each.key, each.mask, each.ranks) for each in found.decided] == [
        ("a", "two", (1, 4)),
        ("b", "one", (2, 1)),
    ]
    assert [each.n_lost for each in found.by_mask] == [0, 0, 2]


def test_without_scores_nothing_is_said() -> None:
    nothing = np.full(5, NAN)
    found = moves(KEYS, nothing, {"grown": nothing})
    assert np.isnan(found.by_mask[0].median)
    assert (found.by_mask[0].n, found.decided) == (0, [])
