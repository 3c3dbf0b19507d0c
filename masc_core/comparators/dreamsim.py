"""DreamSim: one minus the distance of its ensemble, by the package of its authors.

The package downloads its weights at its first use, and by torch.hub the code of
facebookresearch/dino, which it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from masc_core.checkpoint import CheckpointError, digest_of
from masc_core.checkpoint_size import ITEM_BYTES
from masc_core.comparators.descriptors import DescriptorNetwork, DescriptorScores
from masc_core.comparators.network import activation_bytes, mixed_precision
from masc_core.comparators.settings import ComparatorSettings
from masc_core.comparators.weight_files import require_package

if TYPE_CHECKING:
    import torch
    from PIL import Image

ENSEMBLE = "ensemble"
"""Of DINO, CLIP and OpenCLIP, each a ViT-B/16."""

RELEASE = "v0.2.0-checkpoints/dreamsim_ensemble_checkpoint.zip"
"""What the package downloads, below its releases on GitHub."""

WEIGHTS = (
    "dino_vitb16_pretrain.pth",
    "clip_vitb16_pretrain.pth.tar",
    "open_clip_vitb16_pretrain.pth.tar",
)
ADAPTER = "ensemble_lora"
"""What is in there: three backbones, and a folder of what was trained on top of them."""

N_TOKENS, WIDTH, MLP_WIDTH = 197, 768, 3072
"""Of a ViT-B/16 that sees 224 pixels."""
N_WEIGHTS = 3 * 86_000_000
"""Of three of them, about."""


class DreamSimNetwork(DescriptorNetwork):
    """The ensemble: features of three ViTs side by side, their mean subtracted."""

    published = "~/.cache/dreamsim"
    preprocessing = "square of 224 bicubic, in [0, 1]"

    def __init__(self, name: str, settings: ComparatorSettings) -> None:
        """See `ImageNetwork`; `name_or_path` is a directory with the release unpacked.

        Raises:
            ImportError: the package is not installed.
            ValueError: a revision, which its weights do not have.
        """
        require_package("dreamsim", "dreamsim")
        super().__init__(name, settings)
        if settings.revision is not None:
            raise ValueError(f"revision={settings.revision}: there are no revisions of DreamSim")
        self._is_published = settings.name_or_path is None
        self._folder = Path(self.name_or_path).expanduser().resolve()

    @property
    def weights(self) -> str:
        """The published ones go by their release, as they may not be downloaded yet.

        Raises:
            CheckpointError: a directory that is not there, or lacks some.
        """
        if self._is_published:
            return f"release:{RELEASE}"
        if not self._folder.is_dir():
            raise CheckpointError(f"{self.name_or_path}: no such directory")
        for name in (*WEIGHTS, f"{ADAPTER}/adapter_config.json"):
            if not (self._folder / name).is_file():
                raise CheckpointError(f"{self.name_or_path}: no {name} in this directory")
        adapter = (self._folder / ADAPTER).glob("adapter_*")
        return f"sha256:{digest_of([*adapter, *(self._folder / name for name in WEIGHTS)])}"

    def _load(self) -> None:
        import torch
        from dreamsim import dreamsim
        from filelock import FileLock

        _ = self.weights  # the package would download what a directory lacks
        self._folder.mkdir(parents=True, exist_ok=True)
        hub = torch.hub.get_dir()
        try:
            # Workers of one machine download once; and stdout belongs to results.
            with FileLock(self._folder / ".lock"), redirect_stdout(sys.stderr):
                self._model, self._transform = dreamsim(
                    device=str(self.device),
                    cache_dir=str(self._folder),
                    dreamsim_type=ENSEMBLE,
                )
        finally:
            torch.hub.set_dir(hub)  # the package moves it

    @property
    def dtype(self) -> torch.dtype:
        """Of the pixels and weights; products are `dtype_name`."""
        import torch

        return torch.float32

    @property
    def weight_bytes(self) -> int:
        """Of the ensemble, in float32."""
        return N_WEIGHTS * ITEM_BYTES["float32"]

    @property
    def bytes_an_image(self) -> int:
        """Of one ViT: they run one after the other."""
        return activation_bytes(N_TOKENS, WIDTH, MLP_WIDTH, self.dtype)

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """By the package."""
        return self._transform(image)[0]

    def describe(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embeddings, of which the distance is one minus the cosine."""
        import torch

        from masc_core.similarity import unit

        with torch.inference_mode(), mixed_precision(self.device, self.dtype_name):
            embedded = self._model.embed(pixels)
        return unit(embedded)


def dreamsim(names: Sequence[str], settings: ComparatorSettings) -> DescriptorScores:
    """The metric `dreamsim`."""
    return DescriptorScores(names, settings, DreamSimNetwork(names[0], settings))
