"""Text embeddings, each text encoded once: a sweep repeats its prompts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import torch

from masc_core.records import EncodedText

CACHE_SIZE = 65_536
"""Embeddings kept: 300 MB at D = 1152. A sweep repeats its prompts far more often."""


class TextEncoder(Protocol):
    """What has a text tower."""

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """float32 (len(texts), D), not normalised; what is too long is cut."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before it is cut."""


class TextEmbeddings:
    """What an encoder makes of texts, the latest of them kept."""

    def __init__(self, encoder: TextEncoder) -> None:
        """Encode by `encoder`; nothing is kept yet."""
        self._encoder = encoder
        self._kept: OrderedDict[str, EncodedText] = OrderedDict()

    def encode(self, texts: Sequence[str]) -> list[EncodedText]:
        """The texts encoded; one that was seen lately is not encoded again."""
        unseen = [text for text in dict.fromkeys(texts) if text not in self._kept]
        if unseen:
            embedded = self._encoder.encode_texts(unseen)
            counts = self._encoder.count_tokens(unseen)
            for text, embedding, n_tokens in zip(unseen, embedded, counts, strict=True):
                self._kept[text] = EncodedText(embedding, n_tokens)
        for text in texts:
            self._kept.move_to_end(text)
        found = [self._kept[text] for text in texts]
        while len(self._kept) > CACHE_SIZE:
            self._kept.popitem(last=False)
        return found
