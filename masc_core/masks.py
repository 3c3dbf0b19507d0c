"""Foreground masks: brought to the patch grid, grown and shrunk."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from PIL import Image

MaskLike = ArrayLike | Image.Image | torch.Tensor
"""What `as_mask` takes."""

_SLACK = 1e-6
"""For float masks that leave their range by rounding."""


def as_mask(mask: MaskLike) -> np.ndarray:
    """A mask as an array: whatever `np.asarray` takes, and tensors of any device.

    Args:
        mask: (H, W), any numeric dtype or bool.

    Returns:
        It as it is, copied only where it must be.

    Raises:
        ValueError: it is not two-dimensional, is empty, or holds what no mask does: NaN, text,
            numbers outside [0, 255].
    """
    if isinstance(mask, torch.Tensor):
        mask = mask.detach().cpu()
    elif isinstance(mask, Image.Image) and mask.mode == "P":
        mask = mask.convert("L")  # its colours, as those of a shard's masks, not their numbers
    try:
        values = np.asarray(mask)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a mask that is no array: {error}") from error
    if values.ndim != 2 or values.size == 0:
        raise ValueError(
            f"a mask has two dimensions, (H, W), and at least a pixel, not {values.shape}"
        )
    if values.dtype.kind not in "biuf":
        raise ValueError(f"a mask holds numbers or bools, not {values.dtype}")
    if values.dtype not in (np.bool_, np.uint8):
        least, most = float(values.min()), float(values.max())
        # NaN is within no bounds.
        if not (least >= -_SLACK and most <= 255 * (1 + _SLACK)):
            raise ValueError(f"a mask is in [0, 1] or [0, 255], not {least:g} to {most:g}")
    return values


def mask_weights(mask: MaskLike, grid: tuple[int, int]) -> torch.Tensor:
    """One foreground weight a patch.

    Args:
        mask: (H, W), what `as_mask` takes; non-zero is foreground. Values lie in [0, 1], or in
            [0, 255] when the largest exceeds 1.
        grid: patch grid (Hp, Wp).

    Returns:
        float32 (Hp * Wp,) in [0, 1], row-major: the mask resized bilinearly without antialiasing,
        as the authors' pipeline does (`align_corners=False`).

    Raises:
        ValueError: what `as_mask` raises.
    """
    # bool and float16 have no bilinear kernel everywhere; a copy also keeps the caller's array.
    values = torch.from_numpy(as_mask(mask).astype(np.float32))
    if float(values.max()) > 1.0 + _SLACK:
        values = values / 255.0
    resized = F.interpolate(values[None, None], size=grid, mode="bilinear", align_corners=False)
    return resized[0, 0].clamp_(0.0, 1.0).flatten()


def foreground_fraction(mask: MaskLike) -> float:
    """Share of the mask's pixels that are foreground (non-zero), in [0, 1]."""
    values = as_mask(mask)
    return float(np.count_nonzero(values)) / values.size


def dilated(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The mask grown by the disk x^2 + y^2 <= pixels^2.

    Args:
        mask: (H, W), any numeric dtype or bool; non-zero is foreground.
        pixels: radius at the mask's own resolution, >= 0; 0 makes the mask binary and no more.

    Returns:
        bool (H, W).

    Raises:
        ValueError: the mask is not two-dimensional, or is empty; or a negative radius.

    Example:
        >>> dilated(np.array([[0, 0, 0], [0, 0, 255]]), 1).astype(int)
        array([[0, 0, 1],
               [0, 1, 1]])
    """
    foreground = as_mask(mask) != 0
    if pixels < 0:
        raise ValueError(f"a radius is 0 pixels or more, not {pixels}")
    height, width = foreground.shape
    distance = _distance_along_row(foreground)
    grown = np.zeros_like(foreground)
    # Row by row of the disk: the one that lies `down` from its centre reaches `reach` to each side.
    for down in range(min(pixels, height - 1) + 1):
        reach = min(math.isqrt(pixels**2 - down**2), width)
        is_near = distance <= reach
        grown[down:] |= is_near[: height - down]
        grown[: height - down] |= is_near[down:]
    return grown


def eroded(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The mask shrunk by the disk of `dilated`: foreground where the whole disk is foreground.

    Outside the image is background. Arguments, result and errors are those of `dilated`.

    Example:
        >>> eroded(np.ones((3, 4)), 1).astype(int)
        array([[0, 0, 0, 0],
               [0, 1, 1, 0],
               [0, 0, 0, 0]])
    """
    # One pixel of the outside is enough: the nearest to any pixel of the image lies there.
    background = np.pad(as_mask(mask) == 0, 1, constant_values=True)
    return ~dilated(background, pixels)[1:-1, 1:-1]


def _distance_along_row(foreground: np.ndarray) -> np.ndarray:
    """int32 (H, W): pixels to the nearest foreground of the same row; above W where it has none."""
    columns = np.arange(foreground.shape[1], dtype=np.int32)
    far = 2 * foreground.shape[1]
    left = np.maximum.accumulate(np.where(foreground, columns, -far), axis=1)
    right = np.minimum.accumulate(np.where(foreground, columns, 2 * far)[:, ::-1], axis=1)
    return np.minimum(columns - left, right[:, ::-1] - columns)


def blurred_weights(
    mask: MaskLike, grid: tuple[int, int], patch_size: int, sigma: float
) -> torch.Tensor:
    """`mask_weights` of the mask blurred by a Gaussian at patch-aligned resolution.

    The mask is resized bilinearly to (Hp * P, Wp * P), blurred there with a kernel of
    2 * round(3 * sigma) + 1 pixels, at least 3, edges reflected (repeated, where the kernel reaches
    over the whole image), and resized to the grid (MaSC, arXiv 2605.22469, the soft-mask
    aggregator).

    Args:
        patch_size: P, pixels a patch.
        sigma: of the Gaussian, in those pixels; > 0.

    Returns:
        float32 (Hp * Wp,) in [0, 1].
    """
    fine = mask_weights(mask, (grid[0] * patch_size, grid[1] * patch_size))
    image = fine.reshape(1, 1, grid[0] * patch_size, grid[1] * patch_size)
    reach = max(1, round(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    edges = "reflect" if reach < min(image.shape[2:]) else "replicate"
    padded = F.pad(image, (reach, reach, reach, reach), mode=edges)
    across = F.conv2d(padded, kernel.reshape(1, 1, 1, -1))
    smooth = F.conv2d(across, kernel.reshape(1, 1, -1, 1))
    resized = F.interpolate(smooth, size=grid, mode="bilinear", align_corners=False)
    return resized[0, 0].clamp_(0.0, 1.0).flatten()
