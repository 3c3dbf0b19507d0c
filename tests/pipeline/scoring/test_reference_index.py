"""Which references a generation is scored against."""

from __future__ import annotations

import pytest

from jobs.pipeline.errors import CallError, SampleError
from jobs.pipeline.scoring.reference_index import ReferenceEntry, ReferenceIndex


def entry(key: str, concept: str = "cat", error: str | None = None) -> ReferenceEntry:
    return ReferenceEntry(key, "a.tar", concept, None, error)


def test_all_references_of_the_concept_or_those_listed_of_any() -> None:
    index = ReferenceIndex([[entry("c0"), entry("d0", "dog"), entry("c1")]])
    assert [e.key for e in index.chosen("cat", None)] == ["c0", "c1"]
    assert [e.key for e in index.chosen("cat", ["d0", "c0"])] == ["d0", "c0"]


def test_an_unknown_concept_or_key_is_named() -> None:
    index = ReferenceIndex([[entry("c0")]])
    with pytest.raises(SampleError, match="concept 'ox' has no reference"):
        index.chosen("ox", None)
    with pytest.raises(SampleError, match="there is no reference 'c9'"):
        index.chosen("cat", ["c0", "c9"])


def test_a_broken_reference_spoils_what_needs_it_and_nothing_else() -> None:
    index = ReferenceIndex([[entry("c0"), entry("c1", error="png: 0 bytes"), entry("d0", "dog")]])
    with pytest.raises(SampleError, match="reference c1: png: 0 bytes"):
        index.chosen("cat", None)
    assert [e.key for e in index.chosen("cat", ["c0"])] == ["c0"]
    assert [e.key for e in index.chosen("dog", None)] == ["d0"]


def test_keys_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(CallError, match="key 'c0' comes twice, in"):
        ReferenceIndex([[entry("c0"), entry("c0")]])


def test_no_reference_at_all_is_refused() -> None:
    with pytest.raises(CallError, match="the shards hold no sample"):
        ReferenceIndex([])
    with pytest.raises(CallError, match="the shards hold no sample"):
        ReferenceIndex([[], []])


def test_it_knows_in_which_shard_a_reference_lies() -> None:
    index = ReferenceIndex([[entry("c0")], [], [entry("d0", "dog"), entry("c1")]])
    assert index.shard_number == {"c0": 0, "d0": 2, "c1": 2}
    assert [e.key for e in index.chosen("cat", None)] == ["c0", "c1"]
