"""Masked max-cosine, the CP half of MaSC (arXiv 2605.22469)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

MAX_SIMILARITIES = 2**26
"""Entries of the similarity matrix held at once: 256 MB."""


def unit(tokens: torch.Tensor) -> torch.Tensor:
    """Tokens scaled to length 1 along the last dimension, in float32 or what is finer."""
    precise = tokens.to(torch.promote_types(tokens.dtype, torch.float32))
    return torch.nn.functional.normalize(precise, dim=-1)


def masked_max_cosine(
    references: Sequence[torch.Tensor], generations: torch.Tensor
) -> torch.Tensor:
    """CP of each generation against each reference.

    The mean, over a reference's foreground patches, of the largest cosine to any patch of the
    generation. All references meet all generations in one matrix product, in slices of
    `MAX_SIMILARITIES`. Differentiable in both; a graph keeps every slice.

    Args:
        references: per reference its foreground patch tokens (R_i, D) of unit length; R_i may be 0.
        generations: (B, N, D) of unit length, N >= 1: every patch, of one patch grid.

    Returns:
        (B, len(references)) in [-1, 1], of the tokens' dtype; NaN for a reference without
        foreground patches.

    Example:
        Of two patches at a right angle, the first is found and the second is not.

        >>> masked_max_cosine([torch.eye(2)], torch.tensor([[[1.0, 0.0]]]))
        tensor([[0.5000]])
    """
    lengths = [len(reference) for reference in references]
    stacked = torch.cat(list(references))
    # A slice of the batch at a time, so that the product stays in bounds for any batch size.
    step = max(1, MAX_SIMILARITIES // max(1, len(stacked) * generations.shape[1]))
    best = torch.cat([(part @ stacked.T).amax(dim=1) for part in generations.split(step)])
    # The mean of no patches is NaN, which is what CP of an empty reference mask is.
    return torch.stack([each.mean(dim=1) for each in best.split(lengths, dim=1)], dim=1)


def cp_of_batch(
    references: Sequence[Sequence[torch.Tensor]], generations: torch.Tensor
) -> list[list[float]]:
    """CP of each generation against its own references.

    Generations that share their references, the same tensors, share one matrix product.

    Args:
        references: per generation the foreground patch tokens of what it is scored against, as
            `masked_max_cosine` takes them; brought to the generations' device.
        generations: as `masked_max_cosine` takes them.

    Returns:
        Per generation a value for each of its references; NaN for one without foreground patches.
    """
    cp: list[list[float]] = [[] for _ in references]
    for indices, values in cp_of_sharing(references, generations):
        for index, row in zip(indices, values.tolist(), strict=True):
            cp[index] = row
    return cp


def cp_of_sharing(
    references: Sequence[Sequence[torch.Tensor]], generations: torch.Tensor
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """CP of the generations that share their references, one group after the other.

    Arguments are those of `cp_of_batch`; differentiable in the generations.

    Returns:
        The indices of a group of G generations with R references, and (G, R).
    """
    sharing: dict[tuple[int, ...], list[int]] = {}
    for index, own in enumerate(references):
        sharing.setdefault(tuple(id(tokens) for tokens in own), []).append(index)
    for indices in sharing.values():
        shared = [
            tokens.to(generations.device, generations.dtype) for tokens in references[indices[0]]
        ]
        part = generations if len(indices) == len(references) else generations[indices]
        yield indices, masked_max_cosine(shared, part)
