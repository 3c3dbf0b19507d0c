"""A checkpoint's own preprocessing with gradients: image tensors to what the vision tower takes.

The image processors of transformers work on 8-bit images, through which no gradient passes. Here
the same steps are made of tensors, by what the processor itself is set to:

1. resized to the patch grid, bilinearly or bicubically with antialiasing, rows first and then
   columns, and cut to [0, 1] after each, as 8 bits cut what a bicubic filter overshoots;
2. normalised;
3. for NaFlex cut into patches, each a row of height x width x channel.

Nothing is rounded to 8 bits in between, which is all in which the two differ.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from masc_core.encoder import Encoder, Grid

FILTERS = {2: "bilinear", 3: "bicubic"}
"""By PIL's number, which is what `resample` of an image processor is."""

LEFT_ALONE = ("do_center_crop", "do_pad")
"""Steps of other image processors, which have no such form here."""

_SLACK = 1e-4
"""For images that leave [0, 1] by rounding."""


class DifferentiablePixels:
    """What `Encoder.prepare_image` does, for tensors."""

    def __init__(self, encoder: Encoder) -> None:
        """Read the settings of the encoder's image processor.

        Raises:
            ValueError: it does what has no differentiable form here.
        """
        processor = encoder.image_processor
        _require_known_steps(processor)
        self._encoder = encoder
        self._filter = FILTERS[int(processor.resample)]
        # In units of [0, 1] whatever the processor multiplies 8 bits by.
        scale = 255 * processor.rescale_factor if processor.do_rescale else 255.0
        normalises = processor.do_normalize
        self._mean = [mean / scale for mean in (processor.image_mean if normalises else [0.0] * 3)]
        self._std = [std / scale for std in (processor.image_std if normalises else [1.0] * 3)]

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, Grid]:
        """Images as the vision tower takes them, with their patch grid.

        Args:
            images: (B, 3, H, W) in [0, 1].

        Returns:
            A stack of what `Encoder.prepare_image` returns, in the images' dtype, or float32 where
            that is finer, on the encoder's device.

        Raises:
            TypeError, ValueError: what is no such tensor.
        """
        _require_images(images)
        images = images.to(self._encoder.device, torch.promote_types(images.dtype, torch.float32))
        grid = self._encoder.grid_of(images.shape[-1], images.shape[-2])
        patch = self._encoder.patch_size
        size = (grid[0] * patch, grid[1] * patch)
        images = self._resized(images, (images.shape[-2], size[1]))
        images = self._resized(images, size)
        mean, std = (images.new_tensor(each)[:, None, None] for each in (self._mean, self._std))
        normal = (images - mean) / std
        if not self._encoder.is_naflex:
            return normal, grid
        cut = normal.unflatten(3, (grid[1], patch)).unflatten(2, (grid[0], patch))
        return cut.permute(0, 2, 4, 3, 5, 1).reshape(len(images), grid[0] * grid[1], -1), grid

    def _resized(self, images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        if images.shape[-2:] == size:
            return images
        resized = F.interpolate(
            images, size, mode=self._filter, align_corners=False, antialias=True
        )
        return resized.clamp(0, 1)


def _require_known_steps(processor: Any) -> None:
    steps = [step for step in LEFT_ALONE if getattr(processor, step, None)]
    if steps or not processor.do_resize or processor.resample not in FILTERS:
        raise ValueError(
            "the checkpoint's image processor has no differentiable form: "
            f"{', '.join(steps) or f'do_resize={processor.do_resize}'}, "
            f"resample={processor.resample}; bilinear (2) and bicubic (3) resizing have"
        )


def _require_images(images: torch.Tensor) -> None:
    if not isinstance(images, torch.Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, torch.Tensor) else type(images).__name__
        raise TypeError(f"images are a float tensor (B, 3, H, W) in [0, 1], not {kind}")
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError(f"images are (B, 3, H, W), not {tuple(images.shape)}")
    least, most = images.detach().aminmax()
    # NaN is within no bounds.
    if not (least >= -_SLACK and most <= 1 + _SLACK):
        raise ValueError(
            f"images are in [0, 1], not {float(least):g} to {float(most):g}: a decoder's output "
            "in [-1, 1] is (x / 2 + 0.5).clamp(0, 1)"
        )
