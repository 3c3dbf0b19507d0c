"""Batches: pairs of photos, and captions that say what is on them."""

from __future__ import annotations

import pytest
import torch

from jobs.demo.training.batches import GRIDS, PairBatch, PairBatches
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import concepts
from masc_core.defaults import DEMO_MAX_NUM_PATCHES, FG_THRESHOLD


def test_a_batch_follows_from_its_seed_and_step(batch: PairBatch) -> None:
    def made(seed: int, step: int) -> PairBatch:
        batches = PairBatches(
            seed, 9, pairs=5, individuals=3, scenes=4, drop_subject=0.2, drop_scene=0.2
        )
        return batches[step]

    assert torch.equal(made(0, 3).patches, batch.patches)
    assert made(0, 3).captions == batch.captions
    assert made(0, 4).captions != batch.captions
    assert made(1, 3).captions != batch.captions


def test_the_two_photos_of_a_concept_lie_in_different_scenes(batch: PairBatch) -> None:
    first, second = batch.scenes.chunk(2)
    assert (first != second).all()
    assert len(set(batch.scenes.tolist())) <= 4


@pytest.mark.slow
def test_captions_say_what_the_photo_shows_and_drop_a_part_now_and_then() -> None:
    batches = PairBatches(
        0, 9, pairs=100, individuals=3, scenes=24, drop_subject=0.2, drop_scene=0.2
    )
    made = batches[0]
    scenes = made.scenes[:100].tolist()
    train = {subject.noun for subject in concepts("train")}
    for caption, scene, names_subject, names_scene in zip(
        made.captions, scenes, made.names_subject, made.names_scene, strict=True
    ):
        assert (SCENES[scene].phrase in caption) == names_scene
        assert any(f" {noun}" in caption for noun in train) == names_subject
        assert names_subject or names_scene
    assert 0.1 < (~made.names_subject).float().mean() < 0.3
    assert 0.1 < (~made.names_scene).float().mean() < 0.3


def test_aspects_vary_from_batch_to_batch() -> None:
    batches = PairBatches(0, 40, pairs=2, individuals=1, scenes=2, drop_subject=0, drop_scene=0)
    grids = {batches[step].grid for step in range(20)}
    assert {(12, 12), (10, 14), (14, 10)} < set(GRIDS)
    assert len(grids) >= 5
    assert max(down * across for down, across in GRIDS) <= DEMO_MAX_NUM_PATCHES


def test_a_batch_has_the_shapes_that_it_says(batch: PairBatch) -> None:
    photos, patches = 10, batch.grid[0] * batch.grid[1]
    assert batch.patches.shape == (photos, patches, 768)
    assert batch.patches.dtype == torch.uint8
    assert batch.weights.shape == (photos, patches)
    assert batch.scenes.shape == (photos,)
    assert len(batch.captions) == len(batch.names_subject) == len(batch.names_scene) == 5


def test_every_photo_has_foreground_and_background_patches(batch: PairBatch) -> None:
    assert (batch.weights > FG_THRESHOLD).any(dim=1).all()
    assert (batch.weights < FG_THRESHOLD).any(dim=1).all()
