"""What the small encoder learns: three contrasts over one forward pass.

1. Image and text: every photo, pooled whole, against the captions of the batch.
2. Concept: every photo against the photos of the other half of the batch by CP itself, the masked
   max-cosine of patch tokens; the two photos of a concept lie in different scenes.
3. Scene: every photo, pooled without its subject, against the words of every scene.

The first alone is how SigLIP2 and its like are trained; the other two are the metric's own terms,
which a large encoder does without and a small one needs.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.functional import log_softmax, normalize, softplus

from jobs.demo.training.photos import PairBatch
from masc_core.defaults import FG_THRESHOLD

CP_TEMPERATURE = 0.03
"""CP of a batch spreads over some tenths."""

SCENE_TEMPERATURE = 0.07
"""CLIP's at its start (arXiv 2103.00020, section 2.5)."""


def patch_tokens(model: Any, patches: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Patch tokens with gradients; patches uint8 (B, N, 768) of one grid, tokens (B, N, D)."""
    vision = model.vision_model
    # What the processor does: to [0, 1], then mean and standard deviation 0.5.
    pixels = patches.float() / 127.5 - 1
    embedded = vision.embeddings(pixels, torch.tensor([grid]))
    return vision.post_layernorm(vision.encoder(inputs_embeds=embedded).last_hidden_state)


def pooled(model: Any, tokens: torch.Tensor, hidden: torch.Tensor | None = None) -> torch.Tensor:
    """Unit embeddings (B, D) by the tower's attention pool; `hidden` (B, N) bool, True unseen.

    As `masc_core.pooling`, with gradients: neither keys nor values are projected for every patch.
    """
    head = model.vision_model.head
    attention = head.attention
    heads, dim = attention.num_heads, attention.embed_dim
    weights = attention.in_proj_weight.view(3, heads, dim // heads, dim)
    biases = attention.in_proj_bias.view(3, heads, dim // heads)
    query = torch.einsum("hed,d->he", weights[0], head.probe.view(dim)) + biases[0]
    key_query = torch.einsum("he,hed->hd", query, weights[1]) * (dim // heads) ** -0.5
    logits = tokens @ key_query.T  # (B, N, heads)
    if hidden is not None:
        logits = logits.masked_fill(hidden[..., None], float("-inf"))
    mixed = logits.softmax(dim=1).transpose(1, 2) @ tokens  # (B, heads, D)
    values = torch.einsum("bhd,hed->bhe", mixed, weights[2]) + biases[2]
    seen = attention.out_proj(values.flatten(1))
    return normalize(seen + head.mlp(head.layernorm(seen)), dim=-1)


def image_text_contrast(logits: torch.Tensor, batch: PairBatch) -> torch.Tensor:
    """Softmax contrast of photos with captions; logits (B, P), photo by caption.

    A caption fits every photo that it is true of: one without a subject fits all of its scene.
    """
    pairs = len(batch.captions)
    concepts = torch.arange(pairs)
    same_subject = concepts.repeat(2)[:, None] == concepts
    same_scene = batch.scenes[:, None] == batch.scenes[:pairs]
    fits = (same_subject | ~batch.names_subject) & (same_scene | ~batch.names_scene)
    return (_cross_entropy(logits, fits) + _cross_entropy(logits.T, fits.T)) / 2


def concept_contrast(tokens: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Softmax contrast of the photos of the first half with those of the second, both ways, by CP:
    over references, over generations, and over both at once.

    Args:
        tokens: (B, N, D).
        weights: (B, N), mask weights.
    """
    unit = normalize(tokens, dim=-1)
    first, second = unit.chunk(2)
    first_weights, second_weights = weights.chunk(2)
    right = torch.eye(len(first), dtype=torch.bool)
    losses = []
    for cp in (_cp(first, first_weights, second), _cp(second, second_weights, first)):
        logits = cp / CP_TEMPERATURE
        losses += [_cross_entropy(logits, right), _cross_entropy(logits.T, right)]
        losses.append(_against_all(logits, right))
    return torch.stack(losses).mean()


def scene_contrast(
    backgrounds: torch.Tensor, scene_texts: torch.Tensor, scenes: torch.Tensor
) -> torch.Tensor:
    """Which of all scenes a photo's background is; unit (B, D), unit (S, D), int64 (B,)."""
    logits = backgrounds @ scene_texts.T / SCENE_TEMPERATURE
    return torch.nn.functional.cross_entropy(logits, scenes)


def _cp(references: torch.Tensor, weights: torch.Tensor, generations: torch.Tensor) -> torch.Tensor:
    """CP (P, P), reference by generation, of unit tokens (P, N, D): `masc_core.similarity`'s, with
    gradients and for all at once."""
    is_foreground = weights > FG_THRESHOLD
    owner = is_foreground.nonzero()[:, 0]
    cosines = references[is_foreground] @ generations.flatten(0, 1).T
    best = cosines.view(len(owner), *generations.shape[:2]).amax(dim=-1)
    sums = best.new_zeros(len(references), len(generations)).index_add(0, owner, best)
    return sums / is_foreground.sum(dim=1, keepdim=True).clamp(min=1)


def _against_all(logits: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Of each right pair with all cross pairs at once, which weigh as much as a row of them.

    Rows and columns alone leave every reference, and every generation, a level of its own; CP is
    compared over all of them.
    """
    level = logits[~right].logsumexp(dim=0) - math.log(len(logits))
    return softplus(level - logits[right]).mean()


def _cross_entropy(logits: torch.Tensor, fits: torch.Tensor) -> torch.Tensor:
    """Of each row with the even distribution over what fits; a row that nothing fits is left out.

    Args:
        fits: bool, of the shape of logits.
    """
    share = fits / fits.sum(dim=1, keepdim=True).clamp(min=1)
    return -(share * log_softmax(logits, dim=1)).sum() / fits.any(dim=1).sum()
