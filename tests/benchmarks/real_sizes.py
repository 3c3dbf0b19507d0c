"""Checkpoints in the shapes of the published segmenters, with random weights.

Shapes are those of the released configurations; a shape costs what it costs whatever its weights.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from masc_core.encoder import best_device
from tests.masc_core.segmenters.checkpoints import (
    bert_tokenizer,
    clip_text_config,
    clip_tokenizer,
    sam3_processor,
    tf,
    write,
)


def _text_tower(length: int, width: int, layers: int, heads: int, **others: Any) -> dict[str, Any]:
    tower = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "vocab_size": 49408,
    }
    return {**clip_text_config(clip_tokenizer(length), length), **tower, **others}


def write_clipseg(path: Path) -> Path:
    """CIDAS/clipseg-rd64-refined: ViT-B/16 at 352 pixels."""
    config = tf.CLIPSegConfig(
        text_config=_text_tower(77, 512, 12, 8),
        vision_config={"image_size": 224, "patch_size": 16},
        use_complex_transposed_convolution=True,
    )
    size = {"height": 352, "width": 352}
    processor = tf.CLIPSegProcessor(tf.ViTImageProcessor(size=size), clip_tokenizer(77))
    return write(path, tf.CLIPSegForImageSegmentation(config), processor)


def write_sam3(path: Path) -> Path:
    """facebook/sam3: its detector."""
    config = tf.Sam3Config(
        text_config=_text_tower(32, 1024, 24, 16, model_type="clip_text_model", projection_dim=512)
    )
    processor = sam3_processor(clip_tokenizer(32), side=1008)
    return write(path, tf.Sam3Model(config), processor)


def write_sam2(path: Path) -> Path:
    """facebook/sam2.1-hiera-large."""
    vision = {
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 144,
            "num_attention_heads": 2,
            "blocks_per_stage": [2, 6, 36, 4],
            "embed_dim_per_stage": [144, 288, 576, 1152],
            "num_attention_heads_per_stage": [2, 4, 8, 16],
            "window_size_per_stage": [8, 4, 16, 8],
            "global_attention_blocks": [23, 33, 43],
        },
        "backbone_channel_list": [1152, 576, 288, 144],
    }
    size = {"height": 1024, "width": 1024}
    processor = tf.Sam2Processor(tf.Sam2ImageProcessor(size=size))
    return write(path, tf.Sam2Model(tf.Sam2Config(vision_config=vision)), processor)


def write_grounding_dino(path: Path) -> Path:
    """IDEA-Research/grounding-dino-base: Swin-B, images whose shorter side is 800."""
    config = tf.GroundingDinoConfig(
        backbone_config={
            "model_type": "swin",
            "image_size": 384,
            "embed_dim": 128,
            "depths": [2, 2, 18, 2],
            "num_heads": [4, 8, 16, 32],
            "window_size": 12,
            "out_indices": [2, 3, 4],
        },
    )
    size = {"shortest_edge": 800, "longest_edge": 1333}
    images = tf.GroundingDinoImageProcessor(size=size)
    processor = tf.GroundingDinoProcessor(images, bert_tokenizer())
    return write(path, tf.GroundingDinoForObjectDetection(config), processor)


def write_owlv2(path: Path) -> Path:
    """google/owlv2-base-patch16-ensemble: ViT-B/16 at 960 pixels."""
    config = tf.Owlv2Config(
        text_config=_text_tower(16, 512, 12, 8),
        vision_config={"image_size": 960, "patch_size": 16},
        projection_dim=512,
    )
    size = {"height": 960, "width": 960}
    processor = tf.Owlv2Processor(tf.Owlv2ImageProcessor(size=size), clip_tokenizer(16))
    return write(path, tf.Owlv2ForObjectDetection(config), processor)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "clipseg": write_clipseg,
    "sam3": write_sam3,
    "sam2": write_sam2,
    "grounding_dino": write_grounding_dino,
    "owlv2": write_owlv2,
}


def checkpoint_of(folder: Path, name: str) -> Path:
    """The one of that name; made if it is not there, which takes up to a minute and 3.4 GB."""
    path = folder / f"random-{name}"
    if not (path / "config.json").exists():
        with best_device():  # random numbers for a billion weights take a CPU a minute
            WRITERS[name](path)
    return path
