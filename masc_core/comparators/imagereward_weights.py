"""The names and shapes of ImageReward's weights: from the authors' file to BLIP of transformers.

blip.visual_encoder.*   a ViT by timm's names
blip.text_encoder.*     BERT with cross attention, by the names that transformers has too
mlp.layers.*            the head
blip.{vision,text}_proj.*, blip.text_encoder.embeddings.position_ids    unused
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from masc_core.comparators.releases import below

IMAGE, TEXT, HEAD = "blip.visual_encoder.", "blip.text_encoder.", "mlp.layers."

IMAGE_NAMES = (
    ("cls_token", "embeddings.class_embedding"),
    ("pos_embed", "embeddings.position_embedding"),
    ("patch_embed.proj.", "embeddings.patch_embedding."),
    ("blocks.", "encoder.layers."),
    (".norm1.", ".layer_norm1."),
    (".norm2.", ".layer_norm2."),
    (".attn.qkv.", ".self_attn.qkv."),
    (".attn.proj.", ".self_attn.projection."),
)
"""Parts of names, theirs and those of transformers; what is not here is called the same."""

LAST_NORM = ("norm.", "post_layernorm.")
"""Likewise, at the beginning of a name."""

POSITION_IDS = "embeddings.position_ids"
"""Which is no weight: 0, 1, 2, ..."""

HEAD_WIDTHS = (1024, 128, 64, 16, 1)
HEAD_LAYERS = (0, 2, 4, 6, 7)
"""Their numbers; between the first three is dropout, and nowhere an activation function."""

HEAD_DIM = 64
"""Of an attention head of the ViT, base or large (BLIP's create_vit)."""

LAYER_NORM_EPS = 1e-6
"""Of the ViT (BLIP's vit.py)."""

TEXT_SIZES = (
    "hidden_size",
    "intermediate_size",
    "layer_norm_eps",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "vocab_size",
)
TEXT_CHOICES = ("hidden_act", "pad_token_id")
"""What med_config.json says of the text encoder: what it must, and what it may leave out."""


def vision_config(state: Mapping[str, torch.Tensor], side: int, where: str) -> Any:
    """The `BlipVisionConfig` of the image encoder for images of `side` pixels, by its shapes.

    Raises:
        OSError: they are missing, or are not those of such an encoder.
    """
    from transformers import BlipVisionConfig

    names = [f"{IMAGE}{each}" for each in ("patch_embed.proj.weight", "blocks.0.mlp.fc1.weight")]
    _require(state, names, where)
    patches, mlp = (state[name].shape for name in names)
    if len(patches) != 4 or patches[0] % HEAD_DIM or side % patches[-1] or len(mlp) != 2:
        raise OSError(f"{where}: {names[0]} of shape {tuple(patches)} is not that of BLIP's ViT")
    blocks = {name.split(".")[3] for name in state if name.startswith(f"{IMAGE}blocks.")}
    return BlipVisionConfig(
        hidden_size=patches[0],
        intermediate_size=mlp[0],
        num_hidden_layers=len(blocks),
        num_attention_heads=patches[0] // HEAD_DIM,
        image_size=side,
        patch_size=patches[-1],
        layer_norm_eps=LAYER_NORM_EPS,
    )


def text_config(config: Any, image_width: int, where: str) -> Any:
    """The `BlipTextConfig` of med_config.json's document, that sees images of this width.

    Raises:
        OSError: the document lacks something.
    """
    from transformers import BlipTextConfig

    lacking = [key for key in TEXT_SIZES if not isinstance(config, dict) or key not in config]
    if lacking:
        raise OSError(f"{where}: med_config.json does not say {', '.join(lacking)}")
    own = {key: config[key] for key in (*TEXT_SIZES, *TEXT_CHOICES) if key in config}
    # What opens a text by default is of a larger vocabulary; nothing uses it.
    return BlipTextConfig(**own, encoder_hidden_size=image_width, bos_token_id=None)


def vision_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The image encoder's weights by the names of `BlipVisionModel`."""
    return {_image_name(name): own for name, own in below(state, IMAGE).items()}


def text_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The text encoder's weights by the names of `BlipTextModel`."""
    return {name: own for name, own in below(state, TEXT).items() if name != POSITION_IDS}


def head(state: Mapping[str, torch.Tensor], width: int, where: str) -> nn.Module:
    """The layers from a text feature (..., `width`) to a reward (..., 1), float32 on the CPU.

    Raises:
        OSError: weights are missing, or of another shape.
    """
    layers = []
    for number, size in zip(HEAD_LAYERS, HEAD_WIDTHS, strict=True):
        name = f"{HEAD}{number}."
        _require(state, (f"{name}weight", f"{name}bias"), where)
        weight, bias = state[f"{name}weight"], state[f"{name}bias"]
        if weight.shape != (size, width) or bias.shape != (size,):
            shape = tuple(weight.shape)
            raise OSError(f"{where}: {name}weight has shape {shape}, expected {(size, width)}")
        layer = nn.Linear(width, size)
        layer.load_state_dict({"weight": weight, "bias": bias})
        layers.append(layer)
        width = size
    return nn.Sequential(*layers).eval().requires_grad_(False)


def _image_name(name: str) -> str:
    theirs, ours = LAST_NORM
    if name.startswith(theirs):
        return ours + name.removeprefix(theirs)
    for theirs, ours in IMAGE_NAMES:
        name = name.replace(theirs, ours)
    return name


def _require(state: Mapping[str, torch.Tensor], names: Iterable[str], where: str) -> None:
    lacking = [name for name in names if name not in state]
    if lacking:
        raise OSError(f"{where}: {len(lacking)} weights are missing: {lacking[0]}, ...")
