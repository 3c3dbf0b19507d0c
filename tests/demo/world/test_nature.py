"""Scenes under the open sky, in the sea and below ground: painted all over, in their colours."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from jobs.demo.world import nature
from jobs.demo.world.canvas import Canvas
from jobs.demo.world.scenes import SCENES

PAINTERS = {
    name: painter
    for name, painter in inspect.getmembers(nature, inspect.isfunction)
    if painter.__module__ == nature.__name__ and not name.startswith("_")
}
UNPAINTED = (255, 0, 255)


def painted(name: str, seed: int = 0) -> np.ndarray:
    """uint8 (96, 128, 3), on a canvas of a colour that no scene has."""
    canvas = Canvas((128, 96), np.random.default_rng(seed))
    canvas.box(0, 0, 1, 1, UNPAINTED)
    PAINTERS[name](canvas)
    return np.asarray(canvas.image)


@pytest.mark.parametrize("name", PAINTERS)
def test_no_more_than_a_skirting_board_is_left_unpainted(name: str) -> None:
    for seed in range(4):
        assert (painted(name, seed) == UNPAINTED).all(axis=2).mean() < 0.025


@pytest.mark.parametrize("name", PAINTERS)
def test_a_painting_follows_from_the_canvas_s_generator(name: str) -> None:
    assert (painted(name, 3) == painted(name, 3)).all()
    assert (painted(name, 3) != painted(name, 4)).any()


def test_every_painter_has_one_scene() -> None:
    used = [scene.painter for scene in SCENES if scene.painter.__module__ == nature.__name__]
    assert sorted(painter.__name__ for painter in used) == sorted(PAINTERS)


def test_each_place_has_its_colours() -> None:
    """Mean colours: snow is bright, a cave dark, a reef blue, a grove green, lava red."""
    colour = {name: painted(name).mean(axis=(0, 1)) for name in PAINTERS}
    assert colour["snowy_field"].mean() > 190
    assert colour["dark_cave"].mean() < 100
    assert colour["coral_reef"][2] > colour["coral_reef"][0] + 60
    assert colour["bamboo_grove"].argmax() == colour["forest"].argmax() == 1
    assert colour["lava_field"].argmax() == 0
    assert np.ptp(colour["moon"]) < 20


def test_the_sky_is_above_the_ground() -> None:
    for name in ("beach", "wheat_field", "flower_meadow", "mountain_lake"):
        picture = painted(name).astype(int)
        top, bottom = picture[:8].mean(axis=(0, 1)), picture[-8:].mean(axis=(0, 1))
        assert top[2] > bottom[2], name
