"""DINOv3: the cosine of CLS tokens of its ViT-L/16, images prepared as for DINO-I."""

from __future__ import annotations

from collections.abc import Sequence

from masc_core.checkpoint import PROCESSORS, CheckpointKind
from masc_core.comparators.descriptors import DescriptorScores
from masc_core.comparators.dino_i import SHORTER_SIDE, SIDE, DinoNetwork
from masc_core.comparators.settings import ComparatorSettings
from masc_core.comparators.transforms import centre_crop


class Dinov3Network(DinoNetwork):
    """A DINOv3 ViT; its tokens are CLS, registers, patches."""

    published = "facebook/dinov3-vitl16-pretrain-lvd1689m"
    kind = CheckpointKind(("dinov3_vit",), {"image processor": PROCESSORS}, ignores_code=True)
    preprocessing = (
        f"shorter side {SHORTER_SIDE} bicubic, centre {SIDE}, the checkpoint's mean and std"
    )

    def _load(self) -> None:
        from transformers import AutoImageProcessor, DINOv3ViTModel

        self._model = self._pretrained(DINOv3ViTModel).to(self.device, self.dtype)
        self._n_prefix_tokens = 1 + self._model.config.num_register_tokens
        processor = self._processor(AutoImageProcessor)
        self._transform = centre_crop(SHORTER_SIDE, SIDE, processor.image_mean, processor.image_std)


def dinov3(names: Sequence[str], settings: ComparatorSettings) -> DescriptorScores:
    """The metric `dinov3`."""
    return DescriptorScores(names, settings, Dinov3Network(names[0], settings))
