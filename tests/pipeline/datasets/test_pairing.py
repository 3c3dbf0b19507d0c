"""Pairs of one subject and of two, against the protocol's own enumeration."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pipeline.datasets.pairing import pairs_of


def enumerated(n_photos: list[int]) -> tuple[list[tuple], list[tuple]]:
    """All pairs within, and all across in the order of the protocol, loop in loop."""
    within, across = [], []
    for subject, n in enumerate(n_photos):
        for first in range(n):
            for second in range(first + 1, n):
                within.append(((subject, first), (subject, second)))
    for a in range(len(n_photos)):
        for b in range(a + 1, len(n_photos)):
            for i in range(n_photos[a]):
                for j in range(n_photos[b]):
                    across.append(((a, i), (b, j)))
    return within, across


@given(st.lists(st.integers(0, 6), min_size=0, max_size=6))
def test_as_many_pairs_across_are_drawn_as_there_are_within(n_photos: list[int]) -> None:
    within, across = enumerated(n_photos)
    if not 0 < len(within) <= len(across):
        with pytest.raises(ValueError, match=r"no subject has two photos|pairs within subjects"):
            pairs_of(n_photos)
        return
    drawn = np.random.default_rng(0).choice(len(across), size=len(within), replace=False)
    pairs = pairs_of(n_photos)
    assert pairs == within + [across[number] for number in drawn]
    assert [pair.kind for pair in pairs] == ["within"] * len(within) + ["cross"] * len(within)


def test_the_protocols_fifty_subjects_give_its_numbers() -> None:
    pairs = pairs_of([10] * 50)
    # 50 subjects of C(10, 2) = 45 pairs, as the paper has it.
    assert [pair.kind for pair in pairs].count("within") == 2250
    assert len(set(pairs)) == 4500
    assert all(a.subject < b.subject for a, b in pairs[2250:])
    assert pairs[:45] == [((0, i), (0, j)) for i, j in combinations(range(10), 2)]
