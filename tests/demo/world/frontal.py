"""Subjects photographed from the front, upright, so that pixels can be compared."""

from __future__ import annotations

import numpy as np

from jobs.demo.world.render import Pose, render
from jobs.demo.world.scenes import SCENES, Scene
from jobs.demo.world.subjects import Subject

FRONTAL = Pose(x=0.5, depth=0.5, scale=0.7, angle=0, turn=1, flip=False, light=90, seed=0)


def photo(
    subject: Subject, scene: Scene = SCENES[0], pose: Pose = FRONTAL
) -> tuple[np.ndarray, np.ndarray]:
    """Image (192, 192, 3) int, and mask (192, 192) bool."""
    image, mask = render(subject, scene, pose, (192, 192))
    return np.asarray(image).astype(int), np.asarray(mask) > 0
