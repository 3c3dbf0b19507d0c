"""Where CP and PF of one generation come from, patch by patch.

CP is a mean over patches of the reference and PF a mixture of patches of the generation, so both
can be drawn: how well each reference patch was met and by what, and what the attention pool looked
at. One forward an image, by the functions that score (`similarity`, `pooling`); what is drawn sums
to what is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from masc_core.encoder import Grid
from masc_core.masks import MaskLike
from masc_core.metric import MaSC
from masc_core.records import Prepared
from masc_core.reduction import reduce_references
from masc_core.similarity import cp_of_batch, unit


@dataclass(frozen=True, eq=False)
class ReferenceMatch:
    """How a generation met one photo; (Hp, Wp) is the photo's own patch grid."""

    similarity: np.ndarray
    """float32 (Hp, Wp) in [-1, 1]: of each patch the largest cosine to a patch of the generation.
    Its mean over `foreground` is `cp`."""

    best_match: np.ndarray
    """int64 (Hp, Wp): which patch of the generation that was, in [0, N), row-major."""

    foreground: np.ndarray
    """bool (Hp, Wp): mask weight above `fg_threshold`; what CP counts."""

    cp: float
    """CP against this photo; NaN where nothing is foreground."""

    @property
    def grid(self) -> Grid:
        """(Hp, Wp)."""
        height, width = self.similarity.shape
        return height, width


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where the scores of one generation come from; (Hp, Wp) is its patch grid."""

    references: Sequence[ReferenceMatch]
    """One a photo, in the order given."""

    attention_per_head: np.ndarray
    """float32 (H, Hp, Wp): what each head of the pool looked at. It sums to 1 over the visible
    patches and is 0 at the hidden ones; NaN everywhere where every patch is hidden."""

    hidden: np.ndarray
    """bool (Hp, Wp): mask weight at or above `fg_threshold`; what PF does not see."""

    cp: float
    """`references[i].cp`, reduced as MaSC does."""

    pf: float
    """NaN where every patch is hidden."""

    text: str
    """The prompt without its subject: what PF encoded."""

    @property
    def attention(self) -> np.ndarray:
        """float32 (Hp, Wp): the mean over heads, with their sums and zeros."""
        return self.attention_per_head.mean(axis=0)

    @property
    def grid(self) -> Grid:
        """(Hp, Wp)."""
        height, width = self.hidden.shape
        return height, width


@torch.inference_mode()
def explain(
    masc: MaSC,
    ref_images: Sequence[Image.Image],
    ref_masks: Sequence[MaskLike],
    image: Image.Image,
    mask: MaskLike,
    prompt: str,
    subject: str | None = None,
) -> Explanation:
    """Score one generation, and say where the scores come from.

    Args:
        masc: as it scores.
        ref_images, ref_masks: photos of the concept and their masks, as
            `MaSC.encode_references` takes them; at least one.
        image, mask, prompt, subject: fields of `Generation`.

    Raises:
        ValueError: what is no mask (see `as_mask`); no photo, or not one mask a photo.

    Example:
        >>> from masc_core import MaSC, explain
        >>> masc = MaSC.from_pretrained("demo")
        >>> found = explain(masc, [photo], [photo_mask], image, mask, "a cat on a beach", "cat")
        >>> [photo_match] = found.references
        >>> counted = photo_match.similarity[photo_match.foreground]
        >>> bool(abs(counted.mean() - found.cp) < 1e-5), round(float(found.attention.sum()), 4)
        (True, 1.0)
    """
    if not ref_images or len(ref_images) != len(ref_masks):
        raise ValueError(
            f"{len(ref_images)} photos and {len(ref_masks)} masks: expected a photo, and one mask "
            "a photo"
        )
    own = masc.prepare(image, mask, prompt, subject)
    tokens = _patch_tokens(masc, own)
    generation = unit(tokens)
    matches = [
        _match(masc, masc.prepare(photo, photo_mask), generation)
        for photo, photo_mask in zip(ref_images, ref_masks, strict=True)
    ]
    hidden = own.weights >= masc.fg_threshold
    mask_of_pool = hidden[None, None].to(tokens.device)
    pooled = masc.encoder.pool(tokens[None], mask_of_pool)[0]
    attention = masc.encoder.attend(tokens[None], mask_of_pool)[0, 0]  # (H, N)
    embedding = masc.embed_texts([own.text])
    return Explanation(
        references=matches,
        attention_per_head=_on_grid(attention, own.grid),
        hidden=_on_grid(hidden, own.grid),
        cp=reduce_references([match.cp for match in matches], masc.reference_reduction),
        pf=float((unit(pooled) * unit(embedding)).sum()),
        text=own.text,
    )


def _match(masc: MaSC, photo: Prepared, generation: torch.Tensor) -> ReferenceMatch:
    """How the generation, (N, D) of unit length, met a photo."""
    reference = unit(_patch_tokens(masc, photo))
    foreground = photo.weights > masc.fg_threshold
    best = (reference @ generation.T).max(dim=1)
    counted = reference[foreground.to(reference.device)]
    [[cp]] = cp_of_batch([[counted]], generation[None])
    return ReferenceMatch(
        similarity=_on_grid(best.values, photo.grid),
        best_match=_on_grid(best.indices, photo.grid),
        foreground=_on_grid(foreground, photo.grid),
        cp=cp,
    )


def _patch_tokens(masc: MaSC, prepared: Prepared) -> torch.Tensor:
    """(N, D) of one image."""
    return masc.encoder.encode_images(prepared.pixels[None], prepared.grid)[0]


def _on_grid(values: torch.Tensor, grid: Grid) -> np.ndarray:
    """(..., N) as (..., Hp, Wp)."""
    return values.cpu().numpy().reshape(*values.shape[:-1], *grid)
