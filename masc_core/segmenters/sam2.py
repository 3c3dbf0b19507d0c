"""SAM 2: a mask of what is in a box (arXiv 2408.00714); the second stage behind a detector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from masc_core.checkpoint import Checkpoint
from masc_core.segmenters.pretrained import FromPretrained, Pretrained, PromptedImage, Size, find
from masc_core.segmenters.union import as_mask, union_at_size

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from masc_core.protocol import Batch

CHECKPOINT = "facebook/sam2.1-hiera-large"

MODEL_TYPES = ("sam2", "sam2_video")  # the released checkpoints hold a tracker of videos too

BOXES_AT_ONCE = 32
"""Each takes 30 MB in the mask decoder."""

BYTES_A_SAMPLE = 1 << 30
"""65,536 patches of width 144 in the first stage of the large checkpoint, and a decoder."""


@dataclass(frozen=True)
class BoxedImage(PromptedImage):
    """An image as a detector takes it, and as SAM 2 does."""

    sam2_pixels: torch.Tensor = field(kw_only=True)
    """float32 (3, h, w), on the CPU."""


class DetectThenSegment(FromPretrained, ABC):
    """A segmenter whose first network finds boxes, of which SAM 2 makes masks."""

    mask_threshold: float
    sam2_name_or_path: str
    sam2_revision: str | None

    _sam2: Pretrained | None = None
    bytes_a_sample = BYTES_A_SAMPLE

    @abstractmethod
    def detect(self, batch: Batch) -> list[torch.Tensor]:
        """The boxes of each image, (n, 4): left, top, right, bottom, in its own pixels."""

    def fingerprint(self) -> dict[str, Any]:
        """See `Segmenter.fingerprint`."""
        return {**super().fingerprint(), "sam2_weights": self.sam2_checkpoint.weights}

    @cached_property
    def sam2_checkpoint(self) -> Checkpoint:
        """What `sam2_name_or_path` and `sam2_revision` stand for.

        Raises:
            CheckpointError: there is none, or one of another kind.
        """
        return find(self.sam2_name_or_path, self.sam2_revision, MODEL_TYPES)

    def load(self) -> None:
        """Load both networks; see `Segmenter.load`."""
        super().load()
        self._sam2 = Pretrained("Sam2Model", "Sam2Processor", self.sam2_checkpoint, self.dtype)

    @property
    def sam2(self) -> Pretrained:
        """The second network, loaded."""
        assert self._sam2 is not None, "load() comes first"
        return self._sam2

    def boxed(self, image: Image.Image, prompted: PromptedImage) -> BoxedImage:
        """What the detector takes, and beside it what SAM 2 takes."""
        pixels, _ = self.sam2.prepare_pixels(image)
        return BoxedImage(prompted.pixels, prompted.inputs, prompted.size, sam2_pixels=pixels)

    def segment(self, batch: Batch) -> list[np.ndarray]:
        """See `Segmenter.segment`."""
        found = self.detect(batch)
        masks = [np.zeros(sample.size, np.uint8) for sample in batch.samples]
        with_boxes = [i for i, boxes in enumerate(found) if len(boxes)]
        if with_boxes:
            own = self._masks(
                [batch.samples[i] for i in with_boxes], [found[i] for i in with_boxes]
            )
            for i, mask in zip(with_boxes, own, strict=True):
                masks[i] = mask
        return masks

    def _masks(
        self, samples: Sequence[BoxedImage], boxes: Sequence[torch.Tensor]
    ) -> list[np.ndarray]:
        """The union of one mask a box, of images that have boxes; their features all at once."""
        import torch

        pixels = torch.stack([sample.sam2_pixels for sample in samples]).to(self.device)
        features = self.sam2.run(self.sam2.model.get_image_embeddings, pixel_values=pixels)
        return [
            as_mask(self._union([maps[i : i + 1] for maps in features], own, sample.size))
            for i, (sample, own) in enumerate(zip(samples, boxes, strict=True))
        ]

    def _union(self, features: list[torch.Tensor], boxes: torch.Tensor, size: Size) -> torch.Tensor:
        """bool (H, W) of one image."""
        scaled = self.sam2.processor(
            original_sizes=[size], input_boxes=[boxes.tolist()], return_tensors="pt"
        )["input_boxes"].to(self.device)
        union = None
        for some in scaled.split(BOXES_AT_ONCE, dim=1):
            logits = self.sam2.run(
                self.sam2.model,
                image_embeddings=features,
                input_boxes=some,
                multimask_output=False,
            ).pred_masks
            own = union_at_size(logits[0, :, 0], size, self.mask_threshold)
            union = own if union is None else union | own
        assert union is not None, "an image without boxes has no mask to make"
        return union
