"""Two scores of what a matcher found between a reference and a generation (MaSC, arXiv 2605.22469,
the table of matchers).

- `recall`: of the matches whose reference end lies in the foreground, the share whose generation
  end does too.
- `masked`: the mean, over the foreground cells of the reference, of the best match's confidence.

Points are (x, y) in a frame in which pixel (i, j) covers x in [i, i + 1) and y in [j, j + 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from masc_core.masks import MaskLike

RECALL, MASKED = FORMS = ("recall", "masked")
"""After the matcher's name and a full stop, what a column is called."""

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class MatchedPair:
    """What a matcher found between a reference and a generation."""

    reference_points: torch.Tensor
    """(M, 2): x and y of each match in the frame of the reference."""
    generation_points: torch.Tensor
    """(M, 2): its other end, in the frame of the generation."""
    confidence: torch.Tensor | None
    """float32 (Hc, Wc): of the best match of each cell of the reference; None where the matcher
    has no such figure."""


def weights_in_frame(mask: MaskLike, frame: Size) -> torch.Tensor:
    """A mask brought to another size by its nearest pixels.

    Args:
        mask: (H, W), what `mask_weights` takes.
        frame: height and width.

    Returns:
        float32 of the frame's size, in [0, 1].
    """
    import torch.nn.functional as F

    from masc_core.masks import as_mask, mask_weights

    shape: Size = as_mask(mask).shape
    weights = mask_weights(mask, shape).reshape(1, 1, *shape)
    # As PIL picks its nearest pixels; plain `nearest` is half a pixel off.
    return F.interpolate(weights, size=frame, mode="nearest-exact")[0, 0]


def is_foreground_at(foreground: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Whether the pixels that points lie in are foreground.

    Args:
        foreground: bool (H, W).
        points: (M, 2), x and y; one beyond the image counts as the nearest pixel of it.

    Returns:
        bool (M,), on the points' device.
    """
    height, width = foreground.shape
    x = points[:, 0].floor().long().clamp(0, width - 1)
    y = points[:, 1].floor().long().clamp(0, height - 1)
    return foreground.to(points.device)[y, x]


def recall_of_matches(
    pair: MatchedPair, reference_foreground: torch.Tensor, generation_foreground: torch.Tensor
) -> float:
    """Of the matches whose reference end lies in the foreground, the share whose other end does.

    Args:
        reference_foreground, generation_foreground: bool (H, W), each in the frame of its points.

    Returns:
        In [0, 1]; 0 where no match begins in the foreground.
    """
    begins = is_foreground_at(reference_foreground, pair.reference_points)
    if not bool(begins.any()):
        return 0.0
    ends = is_foreground_at(generation_foreground, pair.generation_points[begins])
    return int(ends.sum()) / len(ends)


def masked_confidence(pair: MatchedPair, foreground_cells: torch.Tensor) -> float:
    """The mean of the best match's confidence over the foreground cells of the reference.

    Args:
        foreground_cells: bool (Hc, Wc).

    Returns:
        NaN where there is no such cell.
    """
    assert pair.confidence is not None
    chosen = pair.confidence[foreground_cells.to(pair.confidence.device)]
    return float(chosen.mean()) if len(chosen) else math.nan
