"""From a PIL image to pixels, by torchvision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from PIL import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def centre_crop(
    shorter_side: int,
    side: int,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    std: Sequence[float] = (1.0, 1.0, 1.0),
) -> Callable[[Image.Image], torch.Tensor]:
    """The shorter side resized by PIL's bicubic filter, the square in the middle, normalised.

    Args:
        shorter_side: pixels, before the crop.
        side: of the crop, in pixels.
        mean, std: of each channel in [0, 1]; the defaults leave it there.

    Returns:
        From an RGB image float32 (3, side, side); may be called by several threads at once.
    """
    from torchvision import transforms

    return transforms.Compose(
        [
            transforms.Resize(shorter_side, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(side),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )


def square(
    side: int, mean: Sequence[float], std: Sequence[float]
) -> Callable[[Image.Image], torch.Tensor]:
    """Resized by PIL's bilinear filter to a square, whatever its aspect, and normalised.

    Args:
        side: pixels.
        mean, std: of each channel in [0, 1].

    Returns:
        From an RGB image float32 (3, side, side); may be called by several threads at once.
    """
    from torchvision import transforms

    return transforms.Compose(
        [
            transforms.Resize((side, side), transforms.InterpolationMode.BILINEAR),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
