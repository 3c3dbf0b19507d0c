"""What tests of matchers share: photos as pairs, and recall point by point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from tests.masc_core.comparators.scoring import Sample
from tests.photos import Photo

Point = Sequence[float]


def small(photo: Photo, size: tuple[int, int], prompt: str | None = None) -> Sample:
    """A photo brought to this width and height, with its mask."""
    image = photo.image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    mask = Image.fromarray(photo.mask).resize(size, Image.Resampling.NEAREST)
    return Sample(image, np.array(mask), prompt)


def plain_recall(
    matches: Sequence[tuple[Point, Point]], reference: np.ndarray, generation: np.ndarray
) -> float:
    """Of matches, each from (x, y) of the reference to (x, y) of the generation, the share that end
    in the foreground of those that begin there; masks are (H, W) in 0 to 255."""
    begun, ended = 0, 0
    for begin, end in matches:
        if not _is_foreground(begin, reference):
            continue
        begun += 1
        ended += _is_foreground(end, generation)
    return ended / begun if begun else 0.0


def plain_masked(confidence: torch.Tensor, reference: np.ndarray) -> float:
    """The mean confidence of the cells (Hc, Wc) that a mask (H, W) in 0 to 255 is foreground of."""
    mask = torch.from_numpy(reference.astype(np.float32) / 255)[None, None]
    size = (confidence.shape[0], confidence.shape[1])
    cells = F.interpolate(mask, size=size, mode="bilinear", align_corners=False)[0, 0]
    return float(confidence[cells > 0.5].mean())


def _is_foreground(point: Point, mask: np.ndarray) -> bool:
    height, width = mask.shape
    x, y = min(int(point[0]), width - 1), min(int(point[1]), height - 1)
    return bool(mask[y, x] / 255 > 0.5)
