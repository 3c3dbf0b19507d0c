"""Each segmenter as its library's documentation uses it: an image at a time, published thresholds.

A function gives, of an image and a noun, how many boxes or instances were found, and the mask at
any threshold of its values, so that a test can ask which pixels lie near it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from masc_core.torchvision_compat import make_torchvision_importable

make_torchvision_importable()

import transformers as tf  # noqa: E402 - torchvision has to be importable first

MaskAt = Callable[[float], np.ndarray]
"""From a threshold to a bool (H, W)."""

Plain = Callable[[Image.Image, str], tuple[int, MaskAt]]


def loaded(model: Any, processor: Any, path: str) -> tuple[Any, Any]:
    """A model and its processor."""
    return model.from_pretrained(path).eval(), processor.from_pretrained(path)


def clipseg(checkpoints: Mapping[str, str]) -> Plain:
    model, processor = loaded(
        tf.CLIPSegForImageSegmentation, tf.CLIPSegProcessor, checkpoints["clipseg"]
    )

    @torch.no_grad()
    def segment(image: Image.Image, noun: str) -> tuple[int, MaskAt]:
        inputs = processor(text=[noun], images=[image], padding=True, return_tensors="pt")
        probabilities = torch.sigmoid(model(**inputs).logits)
        at_size = torch.nn.functional.interpolate(
            probabilities.reshape(1, 1, *probabilities.shape[-2:]),
            size=(image.height, image.width),
            mode="bilinear",
            align_corners=False,
        )[0, 0]
        return 1, lambda threshold: (at_size > threshold).numpy()

    return segment


def sam3(checkpoints: Mapping[str, str]) -> Plain:
    model, processor = loaded(tf.Sam3Model, tf.Sam3Processor, checkpoints["sam3"])

    @torch.no_grad()
    def segment(image: Image.Image, noun: str) -> tuple[int, MaskAt]:
        inputs = processor(images=image, text=noun, return_tensors="pt")
        outputs = model(
            pixel_values=inputs["pixel_values"],
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
        )

        def masks_at(threshold: float) -> np.ndarray:
            [found] = processor.post_process_instance_segmentation(
                outputs,
                threshold=0.5,
                mask_threshold=threshold,
                target_sizes=[(image.height, image.width)],
            )
            return found["masks"].numpy()

        return len(masks_at(0.5)), lambda threshold: union(masks_at(threshold), image)

    return segment


def grounded_sam2(checkpoints: Mapping[str, str]) -> Plain:
    model, processor = loaded(
        tf.GroundingDinoForObjectDetection, tf.GroundingDinoProcessor, checkpoints["grounding_dino"]
    )
    masks_of = sam2(checkpoints)

    @torch.no_grad()
    def segment(image: Image.Image, noun: str) -> tuple[int, MaskAt]:
        inputs = processor(images=image, text=f"{noun.lower()}.", return_tensors="pt")
        outputs = model(**inputs)
        [found] = processor.post_process_grounded_object_detection(
            outputs,
            inputs.input_ids,
            threshold=0.3,
            text_threshold=0.25,
            target_sizes=[(image.height, image.width)],
        )
        return len(found["boxes"]), masks_of(image, found["boxes"].tolist())

    return segment


def owlv2_sam2(checkpoints: Mapping[str, str]) -> Plain:
    model, processor = loaded(tf.Owlv2ForObjectDetection, tf.Owlv2Processor, checkpoints["owlv2"])
    masks_of = sam2(checkpoints)

    @torch.no_grad()
    def segment(image: Image.Image, noun: str) -> tuple[int, MaskAt]:
        inputs = processor(text=[[f"a photo of a {noun}"]], images=image, return_tensors="pt")
        outputs = model(**inputs)
        [found] = processor.post_process_grounded_object_detection(
            outputs=outputs,
            target_sizes=torch.tensor([(image.height, image.width)]),
            threshold=0.2,
        )
        return len(found["boxes"]), masks_of(image, found["boxes"].tolist())

    return segment


def sam2(checkpoints: Mapping[str, str]) -> Callable[[Image.Image, list[list[float]]], MaskAt]:
    """From an image and its boxes to the union of one mask a box."""
    model, processor = loaded(tf.Sam2Model, tf.Sam2Processor, checkpoints["sam2"])

    @torch.no_grad()
    def segment(image: Image.Image, boxes: list[list[float]]) -> MaskAt:
        if not boxes:
            return lambda threshold: union(np.empty((0, image.height, image.width)), image)
        inputs = processor(images=image, input_boxes=[boxes], return_tensors="pt")
        sizes = inputs.pop("original_sizes")
        outputs = model(**inputs, multimask_output=False)

        def mask_at(threshold: float) -> np.ndarray:
            [masks] = processor.post_process_masks(
                outputs.pred_masks, sizes, mask_threshold=threshold
            )
            return union(masks[:, 0].numpy(), image)

        return mask_at

    return segment


def union(masks: np.ndarray, image: Image.Image) -> np.ndarray:
    """Of (N, H, W), at the image's size."""
    assert masks.shape[1:] == (image.height, image.width) or not len(masks)
    return masks.any(0) if len(masks) else np.zeros((image.height, image.width), bool)


PLAIN: Mapping[str, tuple[Callable[[Mapping[str, str]], Plain], float]] = {
    "clipseg": (clipseg, 0.5),
    "sam3": (sam3, 0.5),
    "grounded_sam2": (grounded_sam2, 0.0),
    "owlv2_sam2": (owlv2_sam2, 0.0),
}
"""By the segmenter's name, its plain use and the published threshold of its masks' values."""
