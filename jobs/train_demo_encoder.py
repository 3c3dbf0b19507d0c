"""`python -m jobs.train_demo_encoder`: trains the demo's small encoder on the rendered world."""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.demo.training.settings import TrainingConfig
from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.settings import section, setting
from jobs.pipeline.errors import CallError

log = logging.getLogger(__name__)

PHOTOS_A_CONCEPT = 3
"""Of validation, at every look."""


@dataclass
class TrainDemoEncoderConfig:
    out: str = setting(help="directory of the state to go on from, curve.jsonl and checkpoint/")
    training: TrainingConfig = section(TrainingConfig)
    save_every: int = setting(100, "steps between two states, and two looks at validation")
    concepts: int = setting(24, "validation concepts to look at, 2 to 144")
    threads: int = setting(2, "of torch")
    loaders: int = setting(1, "processes that render photos beside them; 0: none")


def train_demo_encoder(config: TrainDemoEncoderConfig, as_json: bool) -> int:
    """Train a SigLIP2 NaFlex encoder of a million and a half weights on photos of a rendered world.

    It learns from images and their captions, and from the metric's own terms, on concepts that the
    demo and the tests never show; 24 minutes on two cores. The same call goes on where an
    interrupted one stopped. The defaults are those of the checkpoint in the package, whose figures
    are in masc_core/demo_encoder/README.md.
    """
    config.training.check()
    if config.save_every < 1 or not 2 <= config.concepts <= 144:
        raise CallError("save_every must be 1 or more, and concepts from 2 to 144")

    # A thread that waits for the other leaves its core to the loader. Read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch
    from transformers.utils import logging as transformers_logging

    from jobs.demo.training.claims import validation_figures
    from jobs.demo.training.loop import Training
    from jobs.demo.training.model import save_checkpoint
    from jobs.demo.training.photos import take_photos
    from jobs.demo.world.subjects import concepts
    from masc_core.defaults import DEMO_MAX_NUM_PATCHES
    from masc_core.metric import MaSC

    transformers_logging.disable_progress_bar()
    torch.set_num_threads(config.threads)
    out = Path(config.out)
    checkpoint = str(out / "checkpoint")
    photos = take_photos(concepts("validation")[: config.concepts], PHOTOS_A_CONCEPT)

    def look(model: Any, tokenizer: Any) -> dict[str, float]:
        """Figures of the checkpoint as a user loads it: in float16, from its directory."""
        save_checkpoint(model, tokenizer, checkpoint)
        masc = MaSC.from_pretrained(checkpoint, device="cpu", max_num_patches=DEMO_MAX_NUM_PATCHES)
        return validation_figures(masc, photos)

    try:
        training = Training(config.training, out)
        training.run(config.loaders, config.save_every, look)
    except OSError as error:
        raise CallError(f"out={config.out}: {error.strerror or error}") from error
    log.info("%d steps in %.1f minutes", training.step, training.seconds / 60)
    result = {"checkpoint": checkpoint, "minutes": round(training.seconds / 60, 1)}
    sys.stdout.write((json.dumps(result) if as_json else checkpoint) + "\n")
    return EXIT_DONE


def main() -> int:
    """The command line."""
    return run_command(
        "train_demo_encoder", TrainDemoEncoderConfig, train_demo_encoder, sys.argv[1:]
    )


if __name__ == "__main__":
    sys.exit(main())
