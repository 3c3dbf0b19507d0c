"""Masked max-cosine, the CP half of MaSC (arXiv 2605.22469)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

MAX_SIMILARITIES = 2**26
"""Entries of the similarity matrix held at once: 256 MB."""


def unit(tokens: torch.Tensor) -> torch.Tensor:
    """Tokens scaled to length 1 along the last dimension, as float32."""
    return torch.nn.functional.normalize(tokens.float(), dim=-1)


def masked_max_cosine(
    references: Sequence[torch.Tensor], generations: torch.Tensor
) -> torch.Tensor:
    """CP of each generation against each reference.

    The mean, over a reference's foreground patches, of the largest cosine to any patch of the
    generation. All references meet all generations in one matrix product.

    Args:
        references: per reference its foreground patch tokens, float32 (R_i, D) of unit length;
            R_i may be 0.
        generations: float32 (B, N, D) of unit length, N >= 1: every patch, of one patch grid.

    Returns:
        float32 (B, len(references)) in [-1, 1]; NaN for a reference without foreground patches.
    """
    lengths = [len(reference) for reference in references]
    stacked = torch.cat(list(references))
    best = generations.new_empty(len(generations), len(stacked))
    # A slice of the batch at a time, so that the product stays in bounds for any batch size.
    step = max(1, MAX_SIMILARITIES // max(1, len(stacked) * generations.shape[1]))
    for start in range(0, len(generations), step):
        part = generations[start : start + step]
        best[start : start + step] = (part @ stacked.T).amax(dim=1)
    # The mean of no patches is NaN, which is what CP of an empty reference mask is.
    return torch.stack([each.mean(dim=1) for each in best.split(lengths, dim=1)], dim=1)
