"""Encoded references on the metrics' devices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jobs.pipeline.scoring import reference_store as store_module
from jobs.pipeline.scoring.reference_index import ReferenceEntry, ReferenceIndex
from jobs.pipeline.scoring.reference_store import ReferenceStore, Stored, storable
from tests.comparators.mean_colour import MeanColour
from tests.comparators.tones import Tones

ENTRIES = {key: ReferenceEntry(key, "r.tar", "cat", None) for key in ("a", "b", "c")}


@pytest.fixture
def fetched() -> list[int]:
    """The shards that were fetched, in order."""
    return []


@pytest.fixture
def store(fetched: list[int]) -> ReferenceStore:
    """`a` and `b` in the first shard, `c` in the second; two metrics."""
    shards = [["a", "b"], ["c"]]

    def fetch(number: int) -> Stored:
        fetched.append(number)
        stored = {}
        for key in shards[number]:
            own = np.array([float(ord(key))])
            own.flags.writeable = False  # as the object store lends it
            stored[key] = {"mean_colour": {}, "tones": {"shares": own}}
        return stored

    index = ReferenceIndex([[ENTRIES[key] for key in keys] for keys in shards])
    return ReferenceStore(index, fetch, [MeanColour(), Tones()])


def test_a_reference_is_what_its_metric_kept_of_it_from_the_shard_that_has_it(
    store: ReferenceStore, fetched: list[int]
) -> None:
    found = store.get(1, ENTRIES["c"])
    assert (found.key, fetched) == ("c", [1])
    assert found.features["shares"].tolist() == [99.0]
    assert store.get(0, ENTRIES["c"]).features == {}
    # A copy, which whoever has it may change.
    found.features["shares"] += 1
    assert store._fetch(1)["c"]["tones"]["shares"].tolist() == [99.0]


def test_the_same_reference_is_the_same_object_and_fetched_once(
    store: ReferenceStore, fetched: list[int]
) -> None:
    assert store.get(1, ENTRIES["a"]) is store.get(1, ENTRIES["a"])
    assert fetched == [0]


def test_the_reference_that_was_used_longest_ago_leaves_the_device_first(
    store: ReferenceStore, fetched: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "DEVICE_CACHE", 2)
    for key in ("a", "b", "a", "c", "a"):  # c drives out b
        store.get(1, ENTRIES[key])
    assert fetched == [0, 0, 1]
    store.get(1, ENTRIES["b"])
    assert fetched == [0, 0, 1, 0]


def test_what_is_stored_are_arrays_of_the_same_values() -> None:
    stored = storable({"tokens": torch.tensor([[1.0, 2.0]])})
    assert isinstance(stored["tokens"], np.ndarray)
    assert stored["tokens"].tolist() == [[1.0, 2.0]]
