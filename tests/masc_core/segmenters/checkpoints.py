"""Small checkpoints of the real architectures, with random weights.

Seeds are chosen so that most photos give masks that are neither empty nor full, at the published
thresholds.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from masc_core.torchvision_compat import make_torchvision_importable

make_torchvision_importable()

import transformers as tf  # noqa: E402 - torchvision has to be importable first

LETTERS = string.ascii_lowercase + string.digits + string.punctuation

CLIP_TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The same random weights each time, and nobody else's changed."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        yield


def drawn(model: Any) -> Any:
    """The same model, its weights drawn wide enough that what goes in shows in what comes out."""
    for weight in model.parameters():
        if weight.ndim > 1:
            weight.normal_(0, (weight.shape[0] / weight.numel()) ** 0.5)
    return model


def clip_tokenizer(length: int) -> Any:
    """CLIP's tokenizer, which spells every word."""
    # In CLIP's own order: OWLv2 takes a text that begins with token 0 for padding.
    pieces = [*LETTERS, *(f"{c}</w>" for c in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    return tf.CLIPTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)},
        merges=[],
        model_max_length=length,
    )


def clip_text_config(tokenizer: Any, length: int, **others: Any) -> dict[str, Any]:
    """A text tower for it."""
    return {
        **CLIP_TOWER,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": length,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **others,
    }


def write(path: Path, model: Any, processor: Any) -> Path:
    """Both, as `save_pretrained` does."""
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return path


def write_clipseg(path: Path) -> Path:
    """CLIPSeg of images of 64 x 64."""
    tokenizer = clip_tokenizer(77)
    config = tf.CLIPSegConfig(
        text_config=clip_text_config(tokenizer, 77),
        vision_config={**CLIP_TOWER, "num_hidden_layers": 3, "image_size": 64, "patch_size": 8},
        projection_dim=32,
        extract_layers=[0, 1, 2],
        reduce_dim=16,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=32,
    )
    with seeded(0):
        model = drawn(tf.CLIPSegForImageSegmentation(config))
    size = {"height": 64, "width": 64}
    return write(path, model, tf.CLIPSegProcessor(tf.ViTImageProcessor(size=size), tokenizer))


def sam3_config(tokenizer: Any) -> Any:
    """SAM 3 of images of 112 x 112."""
    part = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    layers = {**part, "num_layers": 1}
    return tf.Sam3Config(
        vision_config={
            "backbone_config": {
                **part,
                "model_type": "sam3_vit_model",
                "num_hidden_layers": 2,
                "image_size": 112,
                "pretrain_image_size": 56,
                "patch_size": 14,
                "window_size": 4,
                "global_attn_indexes": [1],
            },
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        },
        text_config=clip_text_config(
            tokenizer, 32, model_type="clip_text_model", projection_dim=32
        ),
        geometry_encoder_config=layers,
        detr_encoder_config=layers,
        detr_decoder_config={**layers, "num_queries": 8},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )


def sam3_processor(tokenizer: Any, side: int = 112) -> Any:
    """Its processor."""
    size = {"height": side, "width": side}
    return tf.Sam3Processor(tf.Sam3ImageProcessor(size=size), tokenizer)


def write_sam3(path: Path) -> Path:
    """SAM 3 alone."""
    tokenizer = clip_tokenizer(32)
    with seeded(4):
        model = drawn(tf.Sam3Model(sam3_config(tokenizer)))
        # That there is anything to find is rarely in doubt.
        model.detr_decoder.presence_head.layer3.bias.fill_(3)
    return write(path, model, sam3_processor(tokenizer))


def sam2_vision_config() -> dict[str, Any]:
    """Of images of 128 x 128."""
    return {
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 8,
            "image_size": [128, 128],
            "blocks_per_stage": [1, 1, 2, 1],
            "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 1, 2, 2],
            "window_size_per_stage": [4, 4, 4, 4],
            "global_attention_blocks": [3],
        },
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        "fpn_hidden_size": 32,
    }


def sam2_prompting() -> dict[str, Any]:
    """The prompt encoder and the mask decoder of the same."""
    return {
        "prompt_encoder_config": {"hidden_size": 32, "image_size": 128, "patch_size": 16},
        "mask_decoder_config": {
            "hidden_size": 32,
            "num_attention_heads": 2,
            "mlp_dim": 64,
            "iou_head_hidden_dim": 32,
        },
    }


def sam2_processor() -> Any:
    """Its processor."""
    return tf.Sam2Processor(tf.Sam2ImageProcessor(size={"height": 128, "width": 128}))


def write_sam2(path: Path) -> Path:
    """SAM 2 of images of 128 x 128."""
    config = tf.Sam2Config(vision_config=sam2_vision_config(), **sam2_prompting())
    with seeded(5):
        model = drawn(tf.Sam2Model(config))
    return write(path, model, sam2_processor())


def bert_tokenizer() -> Any:
    """BERT's tokenizer, which spells every word."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
    pieces += [f"##{c}" for c in LETTERS]
    return tf.BertTokenizer(vocab={piece: index for index, piece in enumerate(pieces)})


def write_grounding_dino(path: Path) -> Path:
    """Grounding DINO of images whose shorter side is 96."""
    tokenizer = bert_tokenizer()
    config = tf.GroundingDinoConfig(
        backbone_config={
            "model_type": "swin",
            "image_size": 64,
            "embed_dim": 8,
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 1, 2, 2],
            "window_size": 4,
            "out_indices": [2, 3, 4],
        },
        text_config={
            "model_type": "bert",
            **CLIP_TOWER,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 512,
        },
        num_queries=12,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        d_model=64,
    )
    with seeded(5):
        model = drawn(tf.GroundingDinoForObjectDetection(config))
        # A score is a product of these two norms' outputs: scaled, and shifted by -0.1 x 0.5 x 64,
        # scores lie on both sides of the threshold.
        text_norm = model.model.encoder.layers[-1].text_enhancer_layer.layer_norm_after
        text_norm.bias.fill_(-0.1)
        model.model.decoder.layer_norm.weight.mul_(0.2)
        model.model.decoder.layer_norm.bias.fill_(0.5)
    size = {"shortest_edge": 96, "longest_edge": 160}
    return write(
        path,
        model,
        tf.GroundingDinoProcessor(tf.GroundingDinoImageProcessor(size=size), tokenizer),
    )


def write_owlv2(path: Path) -> Path:
    """OWLv2 of images of 64 x 64."""
    tokenizer = clip_tokenizer(40)
    config = tf.Owlv2Config(
        text_config=clip_text_config(tokenizer, 40),
        vision_config={**CLIP_TOWER, "image_size": 64, "patch_size": 16},
        projection_dim=32,
    )
    with seeded(5):
        model = drawn(tf.Owlv2ForObjectDetection(config))
    size = {"height": 64, "width": 64}
    return write(path, model, tf.Owlv2Processor(tf.Owlv2ImageProcessor(size=size), tokenizer))


def write_sam3_video(path: Path) -> Path:
    """SAM 3 as it is released: a detector, and beside it a tracker of videos."""
    tokenizer = clip_tokenizer(32)
    detector = sam3_config(tokenizer)
    tracker = {"vision_config": detector.vision_config.to_dict(), **sam2_prompting()}
    config = tf.Sam3VideoConfig(
        detector_config=detector,
        tracker_config={"model_type": "sam3_tracker_video", **tracker},
    )
    with seeded(4):
        model = tf.Sam3VideoModel(config)
    return write(path, model, sam3_processor(tokenizer))


def write_sam2_video(path: Path) -> Path:
    """SAM 2.1 as it is released: with what tracks objects through videos."""
    config = tf.Sam2VideoConfig(vision_config=sam2_vision_config(), **sam2_prompting())
    with seeded(5):
        model = tf.Sam2VideoModel(config)
    return write(path, model, sam2_processor())


WRITERS: dict[str, Callable[[Path], Path]] = {
    "clipseg": write_clipseg,
    "sam3": write_sam3,
    "sam2": write_sam2,
    "grounding_dino": write_grounding_dino,
    "owlv2": write_owlv2,
}
