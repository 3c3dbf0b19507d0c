"""MaSC as a reward: CP and PF of image tensors, with gradients that reach their pixels.

The values are the metric's own, by the same functions (`similarity`, `pooling`) of the same patch
tokens; what differs is the way to the tokens (`pixels`), which rounds nothing to 8 bits. To 1e-4
where the images have the size of their patch grid, to 1e-3 where they are resized.

A gradient flows through the cosines of the best matches (CP) and through the visible patches (PF).
Which patches are foreground, and which match best, is not differentiable, and masks get none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from masc_core.masks import MaskLike, mask_weights
from masc_core.pixels import DifferentiablePixels
from masc_core.records import Reference
from masc_core.similarity import cp_of_sharing, unit
from masc_core.subject import strip_subject

if TYPE_CHECKING:
    from masc_core.encoder import Grid
    from masc_core.metric import MaSC


def reward(
    masc: MaSC,
    images: torch.Tensor,
    masks: torch.Tensor | Sequence[MaskLike],
    prompts: Sequence[str],
    references: Sequence[Sequence[Reference]],
    subjects: Sequence[str | None] | None = None,
    *,
    checkpointing: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """CP and PF of a batch of generated images, differentiable in them.

    Args:
        masc: encoder, threshold, stripper and reduction.
        images: (B, 3, H, W) in [0, 1], float32 or any float.
        masks: (B, H, W), or a mask an image: as `Generation.mask`, of any size of the image's
            aspect.
        prompts: a prompt an image.
        references: per image what it is scored against, at least one, from
            `MaSC.encode_references`. Images that share them share a matrix product.
        subjects: per image the noun that names the concept in its prompt; None leaves prompts as
            they are.
        checkpointing: hold one layer's activations at a time; about a third more time.

    Returns:
        CP and PF, each (B,), in float32 or what is finer, on the encoder's device. CP is NaN where
        no reference has a foreground patch, PF where the mask covers every patch; no gradient
        comes from a NaN, so `torch.nansum` of a batch trains on the others.

    Raises:
        TypeError, ValueError: what is no image, mask or prompt; not one of each an image; an image
            without references; or an image processor without a differentiable form.

    Example:
        A step up: the picture after it has more of the cat.

        >>> import numpy as np, torch
        >>> from masc_core import MaSC
        >>> masc = MaSC.from_pretrained("demo", device="cpu")
        >>> cat = masc.encode_references([photo], [photo_mask])
        >>> made = torch.from_numpy(np.asarray(image) / 255).float().permute(2, 0, 1)[None]
        >>> asked = ([mask], ["a cat on a beach"], [cat], ["cat"])
        >>> cp, pf = masc.reward(made.requires_grad_(), *asked)
        >>> (cp + pf).sum().backward()
        >>> better = (made + 0.01 * made.grad.sign()).clamp(0, 1)
        >>> bool(masc.reward(better, *asked)[0] > cp)
        True
    """
    subjects = [None] * len(prompts) if subjects is None else subjects
    _require_one_each(
        images, masks=masks, prompts=prompts, references=references, subjects=subjects
    )
    pixels, grid = DifferentiablePixels(masc.encoder)(images)
    hidden = _hidden(masks, grid, masc.fg_threshold).to(pixels.device)
    texts = [
        strip_subject(prompt, subject, masc.stripper, masc.spacy_model)
        for prompt, subject in zip(prompts, subjects, strict=True)
    ]
    # In the encoder's own precision, also within a training loop's autocast.
    with torch.autocast(pixels.device.type, enabled=False):
        tokens = masc.encoder.patch_tokens(pixels, grid, checkpointing=checkpointing)
        cp = _concept_preservation(unit(tokens), references, masc.reference_reduction)
        return cp, _prompt_following(masc, tokens, hidden, texts)


def _hidden(masks: torch.Tensor | Sequence[MaskLike], grid: Grid, threshold: float) -> torch.Tensor:
    """bool (B, N): the patches that PF does not see."""
    return torch.stack([mask_weights(mask, grid) for mask in masks]) >= threshold


def _concept_preservation(
    tokens: torch.Tensor, references: Sequence[Sequence[Reference]], reduction: str
) -> torch.Tensor:
    """(B,) of tokens (B, N, D) at unit length, NaN where no reference has foreground."""
    # Those without it have no value, and would make the mean of the others NaN.
    defined = [[each.tokens for each in own if each.n_fg_patches] for own in references]
    has_value = [index for index, own in enumerate(defined) if own]
    cp = tokens.new_full((len(tokens),), math.nan)
    for group, values in cp_of_sharing([defined[i] for i in has_value], tokens[has_value]):
        reduced = values.amax(dim=1) if reduction == "max" else values.mean(dim=1)
        cp[[has_value[i] for i in group]] = reduced
    return cp


def _prompt_following(
    masc: MaSC, tokens: torch.Tensor, hidden: torch.Tensor, texts: Sequence[str]
) -> torch.Tensor:
    """(B,) of tokens (B, N, D), NaN where every patch is hidden."""
    is_covered = hidden.all(dim=1)
    # All of it is shown instead, and the value left out: a pool of nothing has NaN for a gradient.
    visible = masc.encoder.visible_pool(tokens, (hidden & ~is_covered[:, None])[:, None])[:, 0]
    pf = (unit(visible) * unit(masc.embed_texts(texts))).sum(-1)
    return pf.masked_fill(is_covered, math.nan)


def _require_one_each(
    images: torch.Tensor,
    *,
    references: Sequence[Sequence[Reference]],
    **others: torch.Tensor | Sequence[object],
) -> None:
    """What belongs to each image is there for each."""
    for name, given in {**others, "references": references}.items():
        if isinstance(given, str) or len(given) != len(images):
            found = "one text" if isinstance(given, str) else str(len(given))
            raise ValueError(f"{name}: {found} for {len(images)} images: expected one an image")
    if any(isinstance(own, Reference) or not own for own in references):
        raise ValueError("references: expected a list an image, each with at least one reference")
