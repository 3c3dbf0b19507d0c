"""From what a network says of each thing that it found to one mask at the image's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from masc_core.segmenters.pretrained import Size
from masc_core.segmenters.protocol import FOREGROUND

if TYPE_CHECKING:
    import torch

VALUES_AT_ONCE = 1 << 26
"""256 MB of float32: 200 instances of an image of 4 million pixels would be 3 GB."""


def union_at_size(values: torch.Tensor, size: Size, threshold: float) -> torch.Tensor:
    """Where any of N maps, brought to the image's size, is above a threshold.

    Args:
        values: (N, h, w); resized bilinearly with `align_corners=False`, as float32.

    Returns:
        bool (H, W), on the device of `values`; False everywhere when N is 0.
    """
    import torch
    from torch.nn.functional import interpolate

    height, width = size
    union = torch.zeros(size, dtype=torch.bool, device=values.device)
    at_once = max(1, VALUES_AT_ONCE // (height * width))
    for first in range(0, len(values), at_once):
        some = values[None, first : first + at_once].float()
        at_size = interpolate(some, size, mode="bilinear", align_corners=False)[0]
        union |= (at_size > threshold).any(0)
    return union


def as_mask(foreground: torch.Tensor) -> np.ndarray:
    """A bool (H, W) as uint8 of 0 and `FOREGROUND`, off the device."""
    return foreground.cpu().numpy().astype(np.uint8) * np.uint8(FOREGROUND)
