"""SAM 3: every instance of what a text names (arXiv 2511.16719)."""

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
class Sam3(FromPretrained):
    """The union of the masks of all instances that it is confident of."""

    name_or_path: str = "facebook/sam3"
    revision: str | None = None
    dtype: defaults.Dtype = "bfloat16"
    score_threshold: float = 0.5
    """Of an instance's confidence times the confidence that there is any, in [0, 1]."""
    mask_threshold: float = 0.5
    """Of the sigmoid of an instance's mask, in [0, 1]."""

    name = "sam3"
    model_class = "Sam3Model"
    processor_class = "Sam3Processor"
    model_types = ("sam3", "sam3_video")  # the released checkpoint holds a tracker of videos too
    thresholds = ("score_threshold", "mask_threshold")
    # 5184 patches of width 1024, and 200 masks and maps of 256 channels of 288 x 288.
    bytes_a_sample = 1 << 30

    def prepare(self, image: Image.Image, text: str) -> PromptedImage:
        """The text is padded to the length that its tower was trained with."""
        length = self.network.model.config.text_config.max_position_embeddings
        return self.prompted(image, require_text(text), length)

    def segment(self, batch: Batch) -> list[np.ndarray]:
        """See `Segmenter.segment`."""
        network = self.network
        inputs = network.stacked(batch.samples)
        found = network.run(network.model, pixel_values=batch.pixels, **inputs)
        scores = found.pred_logits.float().sigmoid() * found.presence_logits.float().sigmoid()
        return [
            as_mask(union_at_size(masks[kept].float().sigmoid(), each.size, self.mask_threshold))
            for masks, kept, each in zip(
                found.pred_masks, scores > self.score_threshold, batch.samples, strict=True
            )
        ]
