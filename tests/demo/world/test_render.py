"""Photos and masks: exact, whole, and the same every time."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pytest

from jobs.demo.world.render import backdrop, random_pose, render
from jobs.demo.world.scenes import SCENES, Scene
from jobs.demo.world.subjects import SUBJECTS, Subject
from tests.demo.world.frontal import FRONTAL

SIZES = ((192, 192), (256, 192), (192, 256))

subjects = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.id)
scenes = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.id)


@scenes
def test_the_same_pose_gives_the_same_bytes(scene: Scene) -> None:
    pose = random_pose(np.random.default_rng(5))
    first, second = (render(SUBJECTS[0], scene, pose, (256, 192)) for _ in range(2))
    assert [part.tobytes() for part in first] == [part.tobytes() for part in second]


def test_the_same_generator_state_gives_the_same_pose() -> None:
    poses = [random_pose(np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert poses[0] == poses[1] != poses[2]


@subjects
def test_the_mask_is_exactly_where_the_subject_is(subject: Subject) -> None:
    rng = np.random.default_rng(2)
    for scene, size in zip(SCENES, cycle(SIZES), strict=False):
        pose = random_pose(rng)
        image, mask = render(subject, scene, pose, size)
        empty = backdrop(subject, scene, pose, size)
        assert image.size == mask.size == size
        assert set(np.unique(mask)) == {0, 255}
        differs = (np.asarray(image) != np.asarray(empty)).any(axis=2)
        drawn = np.asarray(mask) > 0
        assert not differs[~drawn].any()
        assert differs[drawn].mean() > 0.97


@subjects
def test_the_whole_subject_is_in_the_picture_and_large_enough_to_score(subject: Subject) -> None:
    rng = np.random.default_rng(11)
    for size in 6 * SIZES:
        mask = np.asarray(render(subject, SCENES[3], random_pose(rng), size)[1]) > 0
        assert 0.04 < mask.mean() < 0.5
        border = (*mask[[0, -1]], *mask[:, [0, -1]].T)
        assert sum(edge.sum() for edge in border) < 0.05 * mask.sum()


@subjects
@pytest.mark.parametrize("size", [(24, 24), (64, 85), (320, 240)])
def test_pictures_come_in_any_size(subject: Subject, size: tuple[int, int]) -> None:
    image, mask = render(subject, SCENES[9], FRONTAL, size)
    assert image.size == mask.size == size
    assert mask.getbbox()
