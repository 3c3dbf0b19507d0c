"""Backbones other than the encoder, and their patch tokens.

1. An image, resized to the backbone's square by PIL's bilinear filter, whatever its aspect;
   normalised by the checkpoint's mean and std.
2. The last hidden state without its prefix (CLS, registers): one token a patch.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from masc_core.checkpoint import PROCESSORS, CheckpointKind
from masc_core.comparators.network import ImageNetwork, PretrainedNetwork, activation_bytes
from masc_core.comparators.transforms import square

if TYPE_CHECKING:
    import torch
    from PIL import Image


class PatchNetwork(ImageNetwork):
    """A backbone that describes an image of one size by a token a patch."""

    grid: tuple[int, int]
    """Patches (Hp, Wp), row-major; known once it is loaded, as is what follows."""
    patch_size: int
    """Pixels that a patch is wide and high."""

    @abstractmethod
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Patch tokens of images (B, 3, H, W): float32 (B, Hp * Wp, D), of unit length."""


class SquareViT(PretrainedNetwork, PatchNetwork):
    """A ViT of transformers that sees squares."""

    def _take(self, model: Any, side: int, n_prefix_tokens: int) -> None:
        """Encode by this model, of images `side` pixels wide and high.

        Raises:
            ValueError: the patches do not divide the square.
        """
        from transformers import AutoImageProcessor

        self.patch_size = int(model.config.patch_size)
        n, rest = divmod(side, self.patch_size)
        if rest:
            raise ValueError(
                f"{self.name_or_path}: {side} pixels are no multiple of patch_size "
                f"{self.patch_size}"
            )
        self.grid = (n, n)
        self._n_prefix_tokens = n_prefix_tokens
        processor = self._processor(AutoImageProcessor)
        self._transform = square(side, processor.image_mean, processor.image_std)
        self._model = model.to(self.device, self.dtype)

    @property
    def bytes_an_image(self) -> int:
        """Of all tokens."""
        config = self._model.config
        n_tokens = self._n_prefix_tokens + self.grid[0] * self.grid[1]
        return activation_bytes(n_tokens, config.hidden_size, config.intermediate_size, self.dtype)

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """See `preprocessing`."""
        return self._transform(image)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """See `PatchNetwork`."""
        import torch

        from masc_core.similarity import unit

        with torch.inference_mode():
            tokens = self._model(pixels).last_hidden_state
            return unit(tokens[:, self._n_prefix_tokens :])


class Dinov3Patches(SquareViT):
    """DINOv3's ViT-B/16. Its tokens are CLS, registers, patches."""

    published = "facebook/dinov3-vitb16-pretrain-lvd1689m"
    kind = CheckpointKind(("dinov3_vit",), {"image processor": PROCESSORS}, ignores_code=True)
    preprocessing = "square of 512 bilinear, the checkpoint's mean and std"

    def _load(self) -> None:
        from transformers import DINOv3ViTModel

        model = self._pretrained(DINOv3ViTModel)
        self._take(model, side=512, n_prefix_tokens=1 + model.config.num_register_tokens)


class SiglipPatches(SquareViT):
    """A fixed-size SigLIP or SigLIP2. All its tokens are patches."""

    published = "google/siglip2-base-patch16-512"
    kind = CheckpointKind(("siglip",), {"image processor": PROCESSORS}, ignores_code=True)
    preprocessing = "square of the checkpoint's size bilinear, its mean and std"

    def _load(self) -> None:
        from transformers import SiglipVisionModel

        model = self._pretrained(SiglipVisionModel, vision_use_head=False)  # it pools nothing
        self._take(model, side=int(model.config.image_size), n_prefix_tokens=0)
