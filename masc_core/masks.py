"""How a foreground mask is brought to the patch grid."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F


def mask_weights(mask: np.ndarray, grid: tuple[int, int]) -> torch.Tensor:
    """One foreground weight a patch.

    Args:
        mask: (H, W), any numeric dtype or bool; non-zero is foreground. Values lie in [0, 1], or
            in [0, 255] when the largest exceeds 1.
        grid: patch grid (Hp, Wp).

    Returns:
        float32 (Hp * Wp,) in [0, 1], row-major: the mask resized bilinearly without antialiasing,
        as the authors' pipeline does (`align_corners=False`).

    Raises:
        ValueError: the mask is not two-dimensional, or is empty.
    """
    if mask.ndim != 2 or mask.size == 0:
        raise ValueError(
            f"a mask has two dimensions, (H, W), and at least a pixel, not {mask.shape}"
        )
    # bool and float16 have no bilinear kernel everywhere; a copy also keeps the caller's array.
    values = torch.from_numpy(mask.astype(np.float32))
    # The slack is for float masks that exceed 1 by rounding.
    if float(values.max()) > 1.0 + 1e-6:
        values = values / 255.0
    resized = F.interpolate(values[None, None], size=grid, mode="bilinear", align_corners=False)
    return resized[0, 0].clamp_(0.0, 1.0).flatten()


def foreground_fraction(mask: np.ndarray) -> float:
    """Share of the mask's pixels that are foreground (non-zero), in [0, 1]."""
    return float(np.count_nonzero(mask)) / mask.size


def blurred_weights(
    mask: np.ndarray, grid: tuple[int, int], patch_size: int, sigma: float
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
