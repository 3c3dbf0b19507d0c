"""Scenes: each of its own look, painted anew for every seed."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from jobs.demo.world.scenes import SCENES, Scene

scenes = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.id)


def test_any_two_scenes_look_different() -> None:
    seen = [np.asarray(scene.paint(0, (192, 192))).astype(int) for scene in SCENES]
    for scene, other in combinations(seen, 2):
        assert np.abs(scene - other).mean() > 25


@scenes
def test_a_scene_is_painted_anew_for_another_seed(scene: Scene) -> None:
    first, second = (np.asarray(scene.paint(seed, (192, 192))).astype(int) for seed in (0, 1))
    assert (first != second).any(axis=2).mean() > 0.1


def test_a_scene_s_id_is_its_phrase_without_preposition_and_article() -> None:
    assert Scene("on the moon", lambda canvas: None).id == "moon"
    assert Scene("in a quiet library", lambda canvas: None).id == "quiet_library"


def test_a_scene_is_painted_twice_as_large_and_averaged_down() -> None:
    """A border between two source pixels becomes a pixel of half of each."""

    def painter(canvas: object) -> None:
        assert canvas.size == (8, 4)  # type: ignore[attr-defined]
        canvas.image.paste((200, 100, 40), (0, 0, 3, 4))  # type: ignore[attr-defined]

    image = np.asarray(Scene("in a test", painter).paint(0, (4, 2)))  # type: ignore[arg-type]
    assert image[:, :, 0].tolist() == [[200, 100, 0, 0]] * 2
    assert image[:, :, 2].tolist() == [[40, 20, 0, 0]] * 2


def test_every_scene_has_room_for_feet_and_a_light() -> None:
    for scene in SCENES:
        back, front = scene.ground
        assert 0.5 < back < front <= 1
        assert 0 < scene.shadow < 1
        assert all(0.5 < factor < 1.2 for factor in scene.light)
