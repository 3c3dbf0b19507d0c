"""ImageReward by PyPI `image-reward` 1.5, of random weights: as published, and small.

The package's `__init__` imports what trains diffusion models too; only the scorer is wanted here.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import ascii_lowercase, digits, punctuation
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from PIL import Image

from masc_core.torchvision_compat import make_torchvision_importable
from tests.parity import reference

PUBLISHED: dict[str, Any] = {
    "architectures": ["BertModel"],
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "add_type_embeddings": False,
    "vocab_size": 30524,
    "encoder_width": 768,
    "add_cross_attention": True,
}
"""BLIP's med_config.json."""

TOKENIZER = "bert-base-uncased"

ADDED_TOKENS = 2
"""That BLIP adds to BERT's vocabulary."""

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [*ascii_lowercase, *digits, *punctuation]
WORDS = ["a", "photo", "of", "on", "the", "beach", "red", "in", "forest", "paint", "##ing", "many"]


def vocabulary(size: int | None = None) -> list[str]:
    """Word pieces that spell whatever is English, filled up to a size."""
    spelled = [*LETTERS, *(f"##{letter}" for letter in LETTERS)]
    pieces = [*SPECIAL, *dict.fromkeys([*spelled, *WORDS])]
    return [*pieces, *(f"[unused{i}]" for i in range(0 if size is None else size - len(pieces)))]


@cache
def import_scorer() -> ModuleType:
    """The package's own module, its `__init__` left out."""
    make_torchvision_importable()
    found = importlib.util.find_spec("ImageReward")
    assert found is not None and found.submodule_search_locations is not None
    for name in ("", ".models", ".models.BLIP"):
        package = ModuleType(f"ImageReward{name}")
        package.__path__ = [str(Path(found.submodule_search_locations[0], *name.split(".")[1:]))]
        sys.modules[package.__name__] = package
    return importlib.import_module("ImageReward.ImageReward")


SMALL_VOCABULARY = vocabulary()
SMALL: dict[str, Any] = {
    **PUBLISHED,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "max_position_embeddings": 40,
    "vocab_size": len(SMALL_VOCABULARY) + ADDED_TOKENS,
}


def write_release(
    folder: Path, state: Mapping[str, Any], config: Mapping[str, Any], pieces: list[str]
) -> None:
    """The files of the hub, and BERT's vocabulary in a directory of its own name."""
    (folder / "med_config.json").write_text(json.dumps(config, indent=1))
    vocabulary = folder / TOKENIZER / "vocab.txt"
    vocabulary.parent.mkdir(exist_ok=True)
    vocabulary.write_text("\n".join(pieces) + "\n", encoding="utf-8")
    torch.save(dict(state), folder / "ImageReward.pt")


def write(name: str, config: Mapping[str, Any], pieces: list[str], recorded: bool) -> None:
    """A checkpoint by the authors' class, and its scores by their code."""
    folder = reference.out(name)
    write_release(folder, {}, config, pieces)
    os.chdir(folder)  # where the class finds its tokenizer, by a name that may be a directory's
    model = import_scorer().ImageReward(med_config="med_config.json").eval()
    state = model.state_dict()
    reference.fill(state)
    write_release(folder, state, config, pieces)
    with torch.inference_mode():
        scores = [model.score(own.prompt, Image.open(own.image)) for own in reference.read_cases()]
    reference.write_expected(
        folder,
        scores,
        loaded="into BLIP of transformers",
        packages=("image-reward", "transformers", "torch"),
        weights={key: own.shape for key, own in state.items()} if recorded else None,
    )


def write_small() -> None:
    """The class takes no size of its image encoder, so it is given a smaller one."""
    import_scorer()
    blip = importlib.import_module("ImageReward.models.BLIP.blip_pretrain")
    vit = importlib.import_module("ImageReward.models.BLIP.vit")
    encoder = vit.VisionTransformer(
        img_size=224, patch_size=32, embed_dim=128, depth=2, num_heads=2
    )
    with patch.object(blip, "create_vit", lambda *args: (encoder, 128)):
        write("small", SMALL, SMALL_VOCABULARY, recorded=True)


if __name__ == "__main__":
    write_small()
    write("full", PUBLISHED, vocabulary(PUBLISHED["vocab_size"] - ADDED_TOKENS), recorded=False)
