"""CLIP-I and CLIP-T: a generation against its references, and against its prompt.

1. An image by the checkpoint's own processor; the vision tower's pooled output, projected.
2. clip_i: the cosine of the projections of generation and reference.
3. clip_t: the cosine of the projections of the generation and of its whole prompt, subject and all,
   cut to the text tower's length.

Of one checkpoint, both are one forward pass an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from masc_core.checkpoint import PROCESSORS, TOKENIZERS, CheckpointKind
from masc_core.comparators.descriptors import (
    DescriptorNetwork,
    cosines_to_references,
    kept_descriptors,
)
from masc_core.comparators.network import PretrainedNetwork, activation_bytes
from masc_core.comparators.network_scores import NetworkScores, PreparedImage, compared_columns
from masc_core.comparators.settings import ComparatorSettings
from masc_core.protocol import NOTES, Batch, EncodedReference, Features

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

    from masc_core.records import EncodedText
    from masc_core.texts import TextEmbeddings

CLIP_I, CLIP_T = "clip_i", "clip_t"


class ClipNetwork(PretrainedNetwork, DescriptorNetwork):
    """A CLIP model, both towers. A `texts.TextEncoder`."""

    published = "openai/clip-vit-base-patch32"
    published_revision = "refs/pr/15"
    """The hub's own conversion to safetensors: the default branch has none."""
    kind = CheckpointKind(
        ("clip",), {"image processor": PROCESSORS, "tokenizer": TOKENIZERS}, ignores_code=True
    )
    preprocessing = "the checkpoint's image processor"

    def _load(self) -> None:
        from transformers import CLIPModel, CLIPProcessor

        model = self._pretrained(CLIPModel).to(self.device)
        processor = self._processor(CLIPProcessor)
        self._image_processor, self._tokenizer = processor.image_processor, processor.tokenizer
        self._vision = model.vision_model.to(self.dtype)
        self._visual_projection = model.visual_projection.to(self.dtype)
        # Prompts repeat and are encoded once, so nothing is gained by rounding theirs.
        self._text, self._text_projection = model.text_model, model.text_projection
        self.text_length = int(model.config.text_config.max_position_embeddings)

    @property
    def bytes_an_image(self) -> int:
        """Of the vision tower."""
        config = self._vision.config
        n_tokens = (config.image_size // config.patch_size) ** 2 + 1
        return activation_bytes(n_tokens, config.hidden_size, config.intermediate_size, self.dtype)

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """By the checkpoint's processor: resized, cropped, normalised."""
        return self._image_processor(images=[image], return_tensors="pt")["pixel_values"][0]

    def describe(self, pixels: torch.Tensor) -> torch.Tensor:
        """The projections of images (B, 3, H, W): float32 (B, D), of unit length."""
        import torch

        from masc_core.similarity import unit

        with torch.inference_mode():
            return unit(self._visual_projection(self._vision(pixels).pooler_output))

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """The projections of texts, each cut to `text_length` tokens: float32 (len(texts), D)."""
        import torch

        tokens = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self.text_length,
            return_tensors="pt",
        ).to(self.device)
        with torch.inference_mode():
            pooled = self._text(tokens.input_ids, tokens.attention_mask).pooler_output
            return self._text_projection(pooled)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before it is cut, those that open and close it with them."""
        # A tokenizer that may not cut warns of what is too long; here that is what is asked.
        return [len(ids) for ids in self._tokenizer(list(texts), verbose=False).input_ids]


@dataclass(frozen=True)
class PreparedGeneration(PreparedImage):
    """An image and its prompt."""

    prompt: str | None
    """None for a reference."""


class ClipScores(NetworkScores[ClipNetwork]):
    """The columns `clip_i` and `clip_t`, or one of them. A `protocol.Metric`."""

    def __init__(self, names: Sequence[str], settings: ComparatorSettings) -> None:
        """Nothing is loaded before `load`; torch is not even imported."""
        super().__init__(names, settings, ClipNetwork(names[0], settings))
        self.columns = compared_columns({CLIP_I} & {*names})
        if CLIP_T in names:
            self.columns[CLIP_T] = "float64"
        self._texts: TextEmbeddings | None = None

    def load(self) -> None:
        """See `ImageNetwork.load`."""
        from masc_core.texts import TextEmbeddings

        super().load()
        self._texts = TextEmbeddings(self.network)

    def prepare(
        self,
        key: str,
        image: Image.Image,
        masks: Mapping[str, np.ndarray],
        prompt: str | None,
        subject: str | None,
    ) -> PreparedGeneration:
        """The image resized, and the whole prompt."""
        import torch

        if prompt is None and CLIP_I not in self.names:
            return PreparedGeneration(torch.empty(0), None)  # a reference that nobody asks about
        return PreparedGeneration(self.network.prepare(image), prompt)

    def encode_references(self, batch: Batch) -> list[Features]:
        """Their projections; nothing where only the prompt counts."""
        if CLIP_I not in self.names:
            return [{} for _ in batch.samples]
        return kept_descriptors(self.network.describe(batch.pixels))

    def score(
        self, batch: Batch, references: Sequence[Sequence[EncodedReference]]
    ) -> dict[str, list[Any]]:
        """The columns of each generation, by one forward pass."""
        images = self.network.describe(batch.pixels)
        values: dict[str, list[Any]] = {}
        if CLIP_I in self.names:
            values.update(self.compared(CLIP_I, cosines_to_references(images, references)))
        if CLIP_T in self.names:
            values.update(self._against_prompts(images, [own.prompt for own in batch.samples]))
        return values

    def _against_prompts(
        self, images: torch.Tensor, prompts: Sequence[str]
    ) -> dict[str, list[Any]]:
        """`clip_t` of projections (B, D), and which prompts were cut."""
        assert self._texts is not None, "load() comes first"
        texts = self._texts.encode(prompts)
        notes = [notes_of_cut(CLIP_T, text.n_tokens, self.network.text_length) for text in texts]
        return {
            CLIP_T: (images * embedded(texts)).sum(-1).tolist(),
            NOTES: ["; ".join(own) or None for own in notes],
        }


def embedded(texts: Sequence[EncodedText]) -> torch.Tensor:
    """The projections of texts side by side: float32 (B, D), of unit length."""
    import torch

    from masc_core.similarity import unit

    return unit(torch.stack([text.embedding for text in texts]))


def notes_of_cut(name: str, n_tokens: int, length: int) -> list[str]:
    """What is to be said of a text that is longer than the text tower reads."""
    return [f"{name}: {n_tokens} tokens, cut to {length}"] if n_tokens > length else []
