"""Pictures for tests, made from a seed."""

from __future__ import annotations

import numpy as np
from PIL import Image


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
