"""A whole training of the demo's encoder: every step, its checkpoint, its validation figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from jobs.demo.training.claims import validation_figures
from jobs.demo.training.loop import Training
from jobs.demo.training.model import save_checkpoint
from jobs.demo.training.photos import take_photos
from jobs.demo.training.settings import TrainingConfig
from jobs.demo.world.subjects import concepts
from masc_core.defaults import DEMO_MAX_NUM_PATCHES
from masc_core.metric import MaSC

PHOTOS_PER_CONCEPT = 3
"""Of the validation concepts."""


def train(
    config: TrainingConfig,
    out: Path,
    *,
    save_every: int,
    n_concepts: int,
    loaders: int,
    threads: int,
) -> Training:
    """Train to the last step, or go on from where an earlier call stopped.

    Args:
        out: directory of state.pt, curve.jsonl and checkpoint/.
        save_every: steps between states, and between validations.
        n_concepts: validation concepts, 2 or more.
        loaders: processes that render photos; 0 renders in this one.
        threads: of torch, in this whole process.

    Returns:
        The training after its last step.

    Raises:
        CallError: `out` holds a training of another configuration.
        OSError: `out` cannot be written, or no checkpoint is where `config` says to begin.
    """
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(threads)
    photos = take_photos(concepts("validation")[:n_concepts], PHOTOS_PER_CONCEPT)
    checkpoint = checkpoint_of(out)

    def validate(model: Any, tokenizer: Any) -> dict[str, float]:
        """Figures of the checkpoint as a user loads it: in float16, from its directory."""
        save_checkpoint(model, tokenizer, checkpoint)
        masc = MaSC.from_pretrained(
            str(checkpoint), device="cpu", max_num_patches=DEMO_MAX_NUM_PATCHES
        )
        return validation_figures(masc, photos)

    training = Training(config, out)
    training.run(loaders, save_every, validate)
    return training


def checkpoint_of(out: Path) -> Path:
    """Where a training in the directory `out` leaves what `from_pretrained` loads."""
    return out / "checkpoint"
