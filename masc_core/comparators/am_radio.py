"""AM-RADIO: the cosine of C-RADIOv4's summary tokens.

Its authors run it under automatic mixed precision: weights and residuals stay float32, matrix
products are rounded. That is what `dtype` says here, bfloat16 where it says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from masc_core.checkpoint import CheckpointKind
from masc_core.comparators.descriptors import DescriptorNetwork, DescriptorScores
from masc_core.comparators.network import (
    PretrainedNetwork,
    activation_bytes,
    mixed_precision,
)
from masc_core.comparators.settings import ComparatorSettings
from masc_core.comparators.transforms import centre_crop

if TYPE_CHECKING:
    import torch
    from PIL import Image

SIDE = 512
"""Pixels, of the shorter side and of the square in its middle."""


class RadioNetwork(PretrainedNetwork, DescriptorNetwork):
    """A RADIO model, described by its summary; it normalises pixels itself."""

    published = "nvidia/C-RADIOv4-SO400M"
    published_dtype = "bfloat16"
    keeps_float32 = True
    kind = CheckpointKind(("radio",), ignores_code=True)
    preprocessing = f"shorter side {SIDE} bicubic, centre {SIDE}, in [0, 1]"

    def __init__(self, name: str, settings: ComparatorSettings) -> None:
        """See `ImageNetwork`.

        Raises:
            ImportError: transformers is too old to have the model.
        """
        super().__init__(name, settings)
        # Looked up, as importing it costs seconds.
        transformers = find_spec("transformers")
        folders = (transformers and transformers.submodule_search_locations) or []
        if not any((Path(folder) / "models" / "radio").is_dir() for folder in folders):
            raise ImportError(
                "needs a transformers that has RadioModel: pip install -U transformers"
            )

    def _load(self) -> None:
        from transformers import RadioModel

        self._model = self._pretrained(RadioModel).to(self.device)
        self._transform = centre_crop(SIDE, SIDE)

    @property
    def dtype(self) -> torch.dtype:
        """Of the pixels and weights; products are `dtype_name`."""
        import torch

        return torch.float32

    @property
    def bytes_an_image(self) -> int:
        """CLS tokens, registers and patches."""
        config = self._model.config
        n_tokens = (SIDE // config.patch_size) ** 2 + config.num_summary_tokens
        mlp_width = int(config.hidden_size * config.mlp_ratio)
        return activation_bytes(n_tokens, config.hidden_size, mlp_width, self.dtype)

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """See `preprocessing`."""
        return self._transform(image)

    def describe(self, pixels: torch.Tensor) -> torch.Tensor:
        """Summaries: the CLS tokens of its teachers, side by side."""
        import torch

        from masc_core.similarity import unit

        with torch.inference_mode(), mixed_precision(self.device, self.dtype_name):
            summary = self._model(pixels).summary
        return unit(summary)


def am_radio(names: Sequence[str], settings: ComparatorSettings) -> DescriptorScores:
    """The metric `am_radio`."""
    return DescriptorScores(names, settings, RadioNetwork(names[0], settings))
