"""`by=concept`: shards of whole concepts, in a random order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline.errors import CallError
from tests.manifests import documents_of, packed, row, samples_of, write_images

CONCEPTS = [f"c{number:02d}" for number in range(12)]


def _rows() -> list[dict[str, Any]]:
    """Seed by seed, as generators write them: each concept lies all over the manifest."""
    rows = [
        row(seed % 5, key=f"{concept}-{seed}", concept=concept, seed=seed)
        for seed in range(3)
        for concept in CONCEPTS
    ]
    return [*rows, row(0, key="photo", role="reference", concept="c00")]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_images(tmp_path_factory.mktemp("pack"))
    return packed(folder, _rows(), by="concept", shard_size=4)


def _concepts_by_shard(out: Path) -> list[list[str]]:
    return [
        [json.loads(sample.members["json"])["concept"] for sample in samples_of(out, path.name)]
        for path in sorted(out.glob("generations-*.tar"))
    ]


def test_a_concepts_samples_lie_together_in_one_shard(shards: Path) -> None:
    found = _concepts_by_shard(shards)
    # Three samples a concept: the first of them leaves room in a shard of four, and two fill it.
    assert [len(each) for each in found] == [6] * 6
    assert all(each[:3] == [each[0]] * 3 and each[3:] == [each[3]] * 3 for each in found)
    assert sorted(concept for each in found for concept in set(each)) == CONCEPTS


def test_within_a_concept_the_order_stays(shards: Path) -> None:
    seeds = [each["seed"] for each in documents_of(shards) if "seed" in each][:36]
    assert seeds == [0, 1, 2] * 12


def test_concepts_come_in_a_random_order_which_is_the_same_each_time(
    shards: Path, tmp_path: Path
) -> None:
    order = [concept for each in _concepts_by_shard(shards) for concept in each[::3]]
    assert order != CONCEPTS
    again = packed(write_images(tmp_path), _rows()[::-1], by="concept", shard_size=4)
    assert [c for each in _concepts_by_shard(again) for c in each[::3]] == order


def test_without_it_the_data_sets_own_order_stays(tmp_path: Path) -> None:
    found = _concepts_by_shard(packed(write_images(tmp_path), _rows(), shard_size=12))
    assert found == [CONCEPTS] * 3


def test_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="by=prompt: expected concept, or null"):
        packed(write_images(tmp_path), _rows(), by="prompt")
