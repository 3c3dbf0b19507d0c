"""Photos and texts through an encoder, for figures that compare all with all.

CP and PF are computed as `masc_core.metric` does, from one forward pass a photo.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from jobs.demo.training.photos import Photo
from masc_core.masks import mask_weights
from masc_core.metric import MaSC
from masc_core.similarity import masked_max_cosine, unit

_IMAGES_AT_ONCE = 32
_TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class Encoded:
    """n photos after the encoder; all embeddings of length 1."""

    foregrounds: list[torch.Tensor]
    """A photo's patch tokens under its mask (R, D), as a reference has them."""
    tokens: list[torch.Tensor]
    """All patch tokens of a photo (N, D)."""
    full: torch.Tensor
    """(n, D): the attention pool over all patches, which is the encoder's own embedding."""
    background: torch.Tensor
    """(n, D): the attention pool over the patches that PF sees."""


def encode_photos(masc: MaSC, photos: Sequence[Photo]) -> Encoded:
    """`encode` of photos whose truth is known."""
    return encode(masc, [photo.image for photo in photos], [photo.mask for photo in photos])


def encode(masc: MaSC, images: Sequence[Image.Image], masks: Sequence[np.ndarray]) -> Encoded:
    """Encode images, those of one patch grid together; per image a mask as in `Generation.mask`."""
    encoder = masc.encoder
    prepared = [encoder.prepare_image(image) for image in images]
    tokens: dict[int, torch.Tensor] = {}
    by_grid = itertools.groupby(
        sorted(range(len(prepared)), key=lambda i: prepared[i][1]), key=lambda i: prepared[i][1]
    )
    for grid, indices in by_grid:
        for batch in _batches(list(indices), _IMAGES_AT_ONCE):
            encoded = encoder.encode_images(torch.stack([prepared[i][0] for i in batch]), grid)
            tokens.update(zip(batch, encoded, strict=True))
    foregrounds, full, background = [], [], []
    for i, mask in enumerate(masks):
        weights = mask_weights(mask, prepared[i][1])
        foregrounds.append(unit(tokens[i])[weights > masc.fg_threshold])
        is_foreground = weights >= masc.fg_threshold
        hidden = torch.stack([torch.zeros_like(is_foreground), is_foreground])
        pools = unit(encoder.pool(tokens[i][None], hidden[None])[0])
        full.append(pools[0])
        background.append(pools[1])
    unit_tokens = [unit(tokens[i]) for i in range(len(prepared))]
    return Encoded(foregrounds, unit_tokens, torch.stack(full), torch.stack(background))


def cp_matrix(references: Encoded, generations: Encoded) -> np.ndarray:
    """CP of every generation against every reference, (references, generations)."""
    cp = np.empty((len(references.foregrounds), len(generations.tokens)))
    lengths = np.array([len(tokens) for tokens in generations.tokens])
    for length in np.unique(lengths):
        chosen = np.flatnonzero(lengths == length)
        stacked = torch.stack([generations.tokens[i] for i in chosen])
        cp[:, chosen] = masked_max_cosine(references.foregrounds, stacked).T.numpy()
    return cp


def embed_texts(masc: MaSC, texts: Sequence[str]) -> torch.Tensor:
    """Unit embeddings (len(texts), D); each text is encoded once."""
    different = list(dict.fromkeys(texts))
    parts = [unit(masc.embed_texts(part)) for part in _batches(different, _TEXTS_AT_ONCE)]
    row = {text: index for index, text in enumerate(different)}
    return torch.cat(parts)[torch.tensor([row[text] for text in texts])]


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
