"""Ways of turning the patch tokens of a reference and a generation into one score.

MaSC's own is the masked max-cosine (`similarity`). Those here are what the paper holds it against
(MaSC, arXiv 2605.22469, table of aggregators), and `leak`, which tells a copied background. All of
them read the one matrix of cosines; a name of `AGGREGATORS` and, where it takes one, `:ARGUMENT`
make the column `cp.NAME`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Pair:
    """A reference and a generation after their forward passes."""

    cosines: torch.Tensor
    """float32 (R, N): every patch of the reference against every patch of the generation."""
    reference_weights: torch.Tensor
    """float32 (R,) in [0, 1]: the reference's mask on its patch grid."""
    generation_weights: torch.Tensor
    """float32 (N,) in [0, 1]: the generation's."""
    fg_threshold: float
    """A reference patch above it is foreground; a generation patch at it or above."""
    blurred_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    """The reference's mask blurred, by the blur's sigma as it was written."""


def masked_maxcos(pair: Pair) -> float:
    """MaSC's own: the mean of the largest cosines of foreground patches. NaN where there is none.

    Of the encoder's tokens it is CP, by `similarity`; here for those of another backbone.
    """
    is_foreground = pair.reference_weights > pair.fg_threshold
    return float(pair.cosines[is_foreground].amax(dim=1).mean())


def global_maxcos(pair: Pair) -> float:
    """Every reference patch counts, not only the foreground: the mean of the largest cosines."""
    return float(pair.cosines.amax(dim=1).mean())


def weighted_maxcos(pair: Pair, blur: str | None = None) -> float:
    """No threshold: the mean of the largest cosines, weighted by the mask. NaN for an empty
    mask."""
    weights = pair.reference_weights if blur is None else pair.blurred_weights[blur]
    total = float(weights.sum())
    return float((weights * pair.cosines.amax(dim=1)).sum()) / total if total > 0 else math.nan


def recall_fg(pair: Pair) -> float:
    """Of the mutual nearest neighbours whose reference patch is foreground, the share whose
    generation patch is too; 0 when there is none."""
    nearest = pair.cosines.argmax(dim=1)  # (R,) of the generation
    back = pair.cosines.argmax(dim=0)  # (N,) of the reference
    is_mutual = back[nearest] == nearest.new_tensor(range(len(nearest)))
    matched = is_mutual & (pair.reference_weights > pair.fg_threshold)
    if not matched.any():
        return 0.0
    is_foreground = pair.generation_weights[nearest[matched]] > pair.fg_threshold
    return float(is_foreground.float().mean())


def leak(pair: Pair) -> float:
    """The background of the reference, met in the background of the generation: the mean of the
    largest cosines between the two. NaN where either has none.

    High beside a high CP and a low PF, it is a reference that was handed back.
    """
    reference = pair.reference_weights <= pair.fg_threshold
    generation = pair.generation_weights < pair.fg_threshold
    if not (reference.any() and generation.any()):
        return math.nan
    return float(pair.cosines[reference][:, generation].amax(dim=1).mean())


AGGREGATORS: dict[str, Callable[..., float]] = {
    "global_maxcos": global_maxcos,
    "weighted_maxcos": weighted_maxcos,
    "recall_fg": recall_fg,
    "leak": leak,
}
"""By the name after `cp.`. In [-1, 1], but `recall_fg` in [0, 1]."""

TAKES_BLUR = frozenset({"weighted_maxcos"})
"""Those with an argument: the sigma of a Gaussian, in pixels at patch-aligned resolution."""
