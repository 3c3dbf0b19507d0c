"""OWLv2 finds boxes for a text (arXiv 2306.09683), SAM 2 makes masks of them."""

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
class Owlv2Sam2(sam2.DetectThenSegment):
    """The union of one mask a box."""

    name_or_path: str = "google/owlv2-base-patch16-ensemble"
    revision: str | None = None
    dtype: defaults.Dtype = "float32"
    box_threshold: float = 0.2
    """Of a box's score, in [0, 1]."""
    mask_threshold: float = 0.0
    """Of SAM 2's logits."""
    sam2_name_or_path: str = sam2.CHECKPOINT
    sam2_revision: str | None = None

    name = "owlv2_sam2"
    model_class = "Owlv2ForObjectDetection"
    processor_class = "Owlv2Processor"
    model_types = ("owlv2",)
    thresholds = ("box_threshold", "mask_threshold")

    def prepare(self, image: Image.Image, text: str) -> sam2.BoxedImage:
        """The text as OWLv2 was trained with, padded to the length of its tower."""
        length = self.network.model.config.text_config.max_position_embeddings
        prompt = f"a photo of a {require_text(text)}"
        return self.boxed(image, self.prompted(image, prompt, length))

    def detect(self, batch: Batch) -> list[torch.Tensor]:
        """See `DetectThenSegment.detect`."""
        network = self.network
        inputs = network.stacked(batch.samples)
        found = network.run(network.model, pixel_values=batch.pixels, **inputs)
        results = network.processor.post_process_grounded_object_detection(
            found,
            threshold=self.box_threshold,
            target_sizes=[sample.size for sample in batch.samples],
        )
        return [result["boxes"] for result in results]
