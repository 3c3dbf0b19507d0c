"""The small SigLIP2 that is trained: two towers, and a tokenizer of the world's words."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import torch

from jobs.demo.training.batches import PATCH
from jobs.demo.world.checkpoint import siglip_text_config, spelling_tokenizer
from jobs.demo.world.kinds import KINDS
from jobs.demo.world.prompts import TEMPLATES, prompt
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import COLOURS, PATTERN_WORDS
from masc_core.defaults import DEMO_MAX_NUM_PATCHES
from masc_core.torchvision_compat import make_torchvision_importable

MERGES = 400
"""More than the world's words need."""


def new_model(
    tokenizer: Any, seed: int, width: int, heads: int, vision_layers: int, text_layers: int
) -> Any:
    """A `Siglip2Model` (NaFlex) with the initial weights of transformers."""
    make_torchvision_importable()
    import transformers

    tower = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_attention_heads": heads,
    }
    text = {**siglip_text_config(tokenizer), **tower, "num_hidden_layers": text_layers}
    vision = {
        **tower,
        "num_hidden_layers": vision_layers,
        "patch_size": PATCH,
        "num_patches": DEMO_MAX_NUM_PATCHES,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transformers.Siglip2Model(
            transformers.Siglip2Config(text_config=text, vision_config=vision)
        )


def world_tokenizer() -> Any:
    """A SigLIP2 tokenizer whose longer pieces are the words of the world's prompts.

    Byte pairs are learned within words (Sennrich et al., arXiv 1508.07909); any other text is
    spelled in letters and bytes.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.Replace(" ", "▁")]
    )
    learner.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=26 + MERGES, show_progress=False)
    learner.train_from_iterator(_corpus(), trainer)
    merges = json.loads(learner.to_str())["model"]["merges"]
    return spelling_tokenizer([(first, second) for first, second in merges])


def load_weights(path: str) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint, in float32.

    Raises:
        OSError: there is none.
    """
    import transformers

    return transformers.Siglip2Model.from_pretrained(path, dtype=torch.float32).state_dict()


def save_checkpoint(model: Any, tokenizer: Any, path: str | Path) -> None:
    """Write a checkpoint that `from_pretrained` loads; weights in float16. The model stays as it
    is."""
    import transformers

    half = type(model)(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(path)
    processor = transformers.Siglip2Processor(
        transformers.Siglip2ImageProcessor(patch_size=PATCH, max_num_patches=DEMO_MAX_NUM_PATCHES),
        tokenizer,
    )
    processor.save_pretrained(path)


def _corpus() -> list[str]:
    """Every word of the world's prompts, in its place."""
    scenes = [prompt(None, scene, template) for scene in SCENES for template in TEMPLATES]
    subjects = [
        " ".join(filter(None, ("a", *words)))
        for words in itertools.product(PATTERN_WORDS, COLOURS, KINDS)
    ]
    return scenes + subjects
