"""DINO-I: the cosine of CLS tokens of DINO's ViT-S/8 (DreamBench++'s own recipe)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from masc_core.checkpoint import CheckpointKind
from masc_core.comparators.descriptors import DescriptorNetwork, DescriptorScores
from masc_core.comparators.network import PretrainedNetwork, activation_bytes
from masc_core.comparators.settings import ComparatorSettings
from masc_core.comparators.transforms import IMAGENET_MEAN, IMAGENET_STD, centre_crop

if TYPE_CHECKING:
    import torch
    from PIL import Image

SHORTER_SIDE, SIDE = 256, 224
"""Pixels: before the crop, and of it."""


class DinoNetwork(PretrainedNetwork, DescriptorNetwork):
    """A ViT, described by its CLS token after the last layernorm."""

    published = "facebook/dino-vits8"
    kind = CheckpointKind(("vit",), ignores_code=True)
    preprocessing = f"shorter side {SHORTER_SIDE} bicubic, centre {SIDE}, ImageNet's mean and std"

    def _load(self) -> None:
        from transformers import ViTModel

        # The pooling layer is not DINO's: its checkpoint has no weights for it.
        model = self._pretrained(ViTModel, add_pooling_layer=False)
        self._model = model.to(self.device, self.dtype)
        self._n_prefix_tokens = 1
        self._transform = centre_crop(SHORTER_SIDE, SIDE, IMAGENET_MEAN, IMAGENET_STD)

    @property
    def bytes_an_image(self) -> int:
        """Of all tokens."""
        config = self._model.config
        n_tokens = (SIDE // config.patch_size) ** 2 + self._n_prefix_tokens
        return activation_bytes(n_tokens, config.hidden_size, config.intermediate_size, self.dtype)

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """See `preprocessing`."""
        return self._transform(image)

    def describe(self, pixels: torch.Tensor) -> torch.Tensor:
        """CLS tokens."""
        import torch

        from masc_core.similarity import unit

        with torch.inference_mode():
            return unit(self._model(pixels).last_hidden_state[:, 0])


def dino_i(names: Sequence[str], settings: ComparatorSettings) -> DescriptorScores:
    """The metric `dino_i`."""
    return DescriptorScores(names, settings, DinoNetwork(names[0], settings))
