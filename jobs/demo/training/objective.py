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
from torch.nn.functional import log_softmax, softplus

from jobs.demo.training.batches import PairBatch
from masc_core.defaults import FG_THRESHOLD
from masc_core.pooling import attention_pool, pool_weights
from masc_core.similarity import masked_max_cosine, unit

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
    """Unit embeddings (B, D) by the tower's attention pool, with gradients.

    Args:
        tokens: (B, N, D).
        hidden: (B, N) bool, True is invisible; None: all is seen.
    """
    if hidden is None:
        hidden = torch.zeros(tokens.shape[:2], dtype=torch.bool)
    weights = pool_weights(model.vision_model.head)
    return unit(attention_pool(tokens, hidden[:, None], weights)[:, 0])


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
    first, second = unit(tokens).chunk(2)
    first_weights, second_weights = weights.chunk(2)
    is_within = torch.eye(len(first), dtype=torch.bool)
    losses = []
    for references, own_weights, generations in (
        (first, first_weights, second),
        (second, second_weights, first),
    ):
        cp = masked_max_cosine(_foregrounds(references, own_weights), generations)
        # A photo in which no patch is foreground has no CP; its NaN would end the training.
        logits = cp.nan_to_num(0.0) / CP_TEMPERATURE
        losses += [_cross_entropy(logits, is_within), _cross_entropy(logits.T, is_within)]
        losses.append(_within_against_cross(logits, is_within))
    return torch.stack(losses).mean()


def scene_contrast(
    backgrounds: torch.Tensor, scene_texts: torch.Tensor, scenes: torch.Tensor
) -> torch.Tensor:
    """Which of all scenes a photo's background is; unit (B, D), unit (S, D), int64 (B,)."""
    logits = backgrounds @ scene_texts.T / SCENE_TEMPERATURE
    return torch.nn.functional.cross_entropy(logits, scenes)


def _foregrounds(tokens: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Of each of P photos its foreground tokens (R_i, D); tokens (P, N, D), weights (P, N)."""
    is_foreground = weights > FG_THRESHOLD
    return tokens[is_foreground].split(is_foreground.sum(dim=1).tolist())


def _within_against_cross(logits: torch.Tensor, is_within: torch.Tensor) -> torch.Tensor:
    """Contrast of each within pair with all cross pairs at once, which weigh as much as a row.

    Rows and columns alone leave every reference, and every generation, a level of its own; CP is
    compared over all of them.
    """
    level = logits[~is_within].logsumexp(dim=0) - math.log(len(logits))
    return softplus(level - logits[is_within]).mean()


def _cross_entropy(logits: torch.Tensor, fits: torch.Tensor) -> torch.Tensor:
    """Of each row with the even distribution over what fits; a row that nothing fits is left out.

    Args:
        fits: bool, of the shape of logits.
    """
    share = fits / fits.sum(dim=1, keepdim=True).clamp(min=1)
    return -(share * log_softmax(logits, dim=1)).sum() / fits.any(dim=1).sum()
