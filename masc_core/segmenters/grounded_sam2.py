"""Grounding DINO finds boxes for a text (arXiv 2303.05499), SAM 2 makes masks of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from masc_core import defaults
from masc_core.segmenters import sam2
from masc_core.segmenters.pretrained import require_text

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from masc_core.protocol import Batch


@dataclass
class GroundedSam2(sam2.DetectThenSegment):
    """The union of one mask a box."""

    name_or_path: str = "IDEA-Research/grounding-dino-base"
    revision: str | None = None
    dtype: defaults.Dtype = "float32"
    box_threshold: float = 0.3
    """Of a box's largest score over the text's tokens, in [0, 1]."""
    text_threshold: float = 0.25
    """Of a token's score, for it to be among the words that name a box. The masks of all boxes are
    united, whatever their names, so it changes none; it is there because it is published."""
    mask_threshold: float = 0.0
    """Of SAM 2's logits."""
    sam2_name_or_path: str = sam2.CHECKPOINT
    sam2_revision: str | None = None

    name = "grounded_sam2"
    model_class = "GroundingDinoForObjectDetection"
    processor_class = "GroundingDinoProcessor"
    model_types = ("grounding-dino",)
    thresholds = ("box_threshold", "mask_threshold")

    def prepare(self, image: Image.Image, text: str) -> sam2.BoxedImage:
        """The text in lower case, ending in a full stop, as the detector was trained.

        It is not padded: images of one shape with texts of one length are a batch.
        """
        prompt = require_text(text).lower()
        prompt = prompt if prompt.endswith(".") else f"{prompt}."
        length = self.network.model.config.max_text_len
        return self.boxed(image, self.prompted(image, prompt, length, is_padded=False))

    def detect(self, batch: Batch) -> list[torch.Tensor]:
        """See `DetectThenSegment.detect`."""
        network = self.network
        inputs = network.stacked(batch.samples)
        found = network.run(network.model, pixel_values=batch.pixels, **inputs)
        results = network.processor.post_process_grounded_object_detection(
            found,
            inputs["input_ids"],
            threshold=self.box_threshold,
            text_threshold=self.text_threshold,
            target_sizes=[sample.size for sample in batch.samples],
        )
        return [result["boxes"] for result in results]
