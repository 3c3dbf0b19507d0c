"""Pictures for tests, made from a seed."""

from __future__ import annotations

import numpy as np
from PIL import Image

from jobs.demo.world.render import random_pose, render
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import SUBJECTS


def painted(size: tuple[int, int], seed: int) -> tuple[Image.Image, np.ndarray]:
    """An image (width, height) of smooth colours, and a mask of an ellipse in it."""
    rng = np.random.default_rng(seed)
    width, height = size
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    image = coarse.resize(size, Image.Resampling.BICUBIC)
    y, x = np.mgrid[:height, :width]
    centre_x, centre_y = rng.uniform(0.3, 0.7, 2) * (width, height)
    inside = ((x - centre_x) / (0.3 * width)) ** 2 + ((y - centre_y) / (0.3 * height)) ** 2 < 1
    return image, inside.astype(np.uint8) * 255


def of_one_cat() -> dict[str, Image.Image]:
    """A striped blue cat in a kitchen (photo, photo_mask), and the same on a sandy beach (image,
    mask)."""
    [cat] = (subject for subject in SUBJECTS if subject.id == "striped_blue_cat")
    scenes = {scene.id: scene for scene in SCENES}
    rng = np.random.default_rng(0)
    photo, photo_mask = render(cat, scenes["bright_kitchen"], random_pose(rng), (224, 224))
    image, mask = render(cat, scenes["sandy_beach"], random_pose(rng), (224, 224))
    return {"photo": photo, "photo_mask": photo_mask, "image": image, "mask": mask}
