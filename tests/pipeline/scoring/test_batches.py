"""Batches of one bucket."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.pipeline.scoring.batches import OPEN_BATCHES, batches_of_one_bucket

ITEMS = st.lists(st.tuples(st.integers(0, 6), st.integers()), max_size=200)


@given(items=ITEMS, size=st.integers(1, 9))
def test_every_item_is_in_one_batch_of_its_grid(items: list[tuple[int, int]], size: int) -> None:
    numbered = list(enumerate(items))
    batches = list(batches_of_one_bucket(numbered, lambda each: (0, each[1][0]), lambda _: size))
    assert sorted(each for batch in batches for each in batch) == numbered
    for batch in batches:
        assert 1 <= len(batch) <= size
        assert len({grid for _, (grid, _) in batch}) == 1


@given(grids=st.lists(st.integers(0, 50), max_size=300), size=st.integers(1, 5))
def test_no_more_than_a_few_batches_are_held(grids: list[int], size: int) -> None:
    read = given_out = 0

    def counted() -> object:
        nonlocal read
        for grid in grids:
            read += 1
            yield grid

    for batch in batches_of_one_bucket(counted(), lambda grid: (0, grid), lambda _: size):  # type: ignore[arg-type]
        assert read - given_out <= OPEN_BATCHES * size + 1
        given_out += len(batch)
    assert given_out == len(grids)


@given(items=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=200))
def test_every_metric_has_batches_of_its_own_size(items: list[tuple[int, int]]) -> None:
    sizes = [1, 3, 8]
    batches = list(batches_of_one_bucket(items, lambda each: each, sizes.__getitem__))
    assert sorted(each for batch in batches for each in batch) == sorted(items)
    for batch in batches:
        [(metric, _)] = set(batch)
        assert 1 <= len(batch) <= sizes[metric]
