"""CLIPSeg: one map of the whole image for a text (arXiv 2112.10003)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from masc_core import defaults
from masc_core.segmenters.pretrained import FromPretrained, PromptedImage, require_text
from masc_core.segmenters.union import as_mask, union_at_size

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from masc_core.protocol import Batch


@dataclass
class ClipSeg(FromPretrained):
    """Where the sigmoid of the logits, brought to the image's size, is above a threshold."""

    name_or_path: str = "CIDAS/clipseg-rd64-refined"
    revision: str | None = None
    dtype: defaults.Dtype = "float32"
    mask_threshold: float = 0.5
    """Of the sigmoid, in [0, 1]."""

    name = "clipseg"
    model_class = "CLIPSegForImageSegmentation"
    processor_class = "CLIPSegProcessor"
    model_types = ("clipseg",)
    thresholds = ("mask_threshold",)
    # 485 patches of width 768 with an inner layer of 3072, and the decoder's maps of 352 x 352.
    bytes_a_sample = 64 << 20

    def prepare(self, image: Image.Image, text: str) -> PromptedImage:
        """Every text is padded to one length: attention is causal, so padding changes nothing."""
        length = self.network.model.config.text_config.max_position_embeddings
        return self.prompted(image, require_text(text), length)

    def segment(self, batch: Batch) -> list[np.ndarray]:
        """See `Segmenter.segment`."""
        network = self.network
        inputs = network.stacked(batch.samples)
        logits = network.run(network.model, pixel_values=batch.pixels, **inputs).logits
        maps = logits.float().sigmoid()
        return [
            as_mask(union_at_size(own[None], sample.size, self.mask_threshold))
            for own, sample in zip(maps, batch.samples, strict=True)
        ]
