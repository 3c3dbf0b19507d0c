"""Small checkpoints of HPSv3 and CLIP-FlanT5, by the names and shapes of weights that the authors'
classes gave (`tests/parity/recorded`), and what their code said of photos by them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from masc_core.torchvision_compat import make_torchvision_importable
from tests.masc_core.comparators.scoring import Sample
from tests.parity import small_clip_flant5, small_qwen2_vl
from tests.parity.comparing import TOLERANCE, cases, recorded
from tests.parity.reference import fill

ALIASES = ("shared", "encoder.embed_tokens", "decoder.embed_tokens", "embed_tokens")
"""Names of one weight of CLIP-FlanT5."""


def empty_state(system: str) -> dict[str, torch.Tensor]:
    """Weights by the authors' names, nothing in them yet."""
    return {name: torch.empty(shape) for name, shape in recorded(system)["weights"].items()}


def write_hpsv3(path: Path) -> None:
    """As `MizzenAI/HPSv3` is, and the backbone's small files in a directory of its name."""
    small_qwen2_vl.write_backbone(path)
    state = empty_state("hpsv3")
    fill(state)
    save_file(state, path / "HPSv3.safetensors")


def flant5_state() -> dict[str, torch.Tensor]:
    """Of the small CLIP-FlanT5, under all names."""
    state = empty_state("vqascore")
    shared, *others = (f"{name}.weight" for name in ALIASES)
    state |= dict.fromkeys(others, state[shared])
    small_clip_flant5.fill_state(state)
    return state


def write_clip_flant5(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Its configurations, tokenizer and processor, and this state as safetensors."""
    make_torchvision_importable()
    from transformers import T5Tokenizer

    tower = path / small_clip_flant5.TOWER
    small_clip_flant5.write_images(tower)
    vision = {**small_clip_flant5.CLIP, "model_type": "clip_vision_model"}
    (tower / "config.json").write_text(json.dumps(vision))
    pieces = [(piece, small_clip_flant5.score(piece)) for piece in small_clip_flant5.PIECES]
    sentinels = [(f"<extra_id_{number}>", 0.0) for number in range(99, -1, -1)]
    T5Tokenizer(vocab=[*pieces, *sentinels]).save_pretrained(path / small_clip_flant5.TOKENIZER)
    config = {
        **small_clip_flant5.T5,
        "model_type": "clip_t5",
        "mm_hidden_size": 48,
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": f"openai/{small_clip_flant5.TOWER}",
    }
    (path / "config.json").write_text(json.dumps(config))
    dropped = [f"{name}.weight" for name in ALIASES[1:]]
    kept = {name: own.contiguous() for name, own in state.items() if name not in dropped}
    save_file(kept, path / "model.safetensors", {"format": "pt"})


def samples() -> Iterator[Sample]:
    """The photos and prompts of which the authors' code was asked."""
    for case in cases():
        with Image.open(case["image"]) as image:
            photo = image.convert("RGB")
        yield Sample(photo, None, case["prompt"])  # type: ignore[arg-type]


def as_recorded(system: str) -> Any:
    """What the authors' code said of `samples`, to compare with."""
    scores = recorded(system)["scores"]
    return pytest.approx(scores, rel=0, abs=TOLERANCE * max(1.0, *map(abs, scores)))
