"""`python -m jobs.train_demo_encoder`: trains the demo's small encoder on the rendered world."""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from jobs.demo.training.settings import TrainingConfig
from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.settings import section, setting
from jobs.pipeline.errors import CallError

log = logging.getLogger(__name__)


@dataclass
class TrainDemoEncoderConfig:
    out: str = setting(help="directory of the state to go on from, curve.jsonl and checkpoint/")
    training: TrainingConfig = section(TrainingConfig)
    save_every: int = setting(100, "steps between two states, and between two validations")
    concepts: int = setting(24, "validation concepts, 2 to 144")
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
    from jobs.demo.training.train import checkpoint_of, train

    out = Path(config.out)
    try:
        training = train(
            config.training,
            out,
            save_every=config.save_every,
            n_concepts=config.concepts,
            loaders=config.loaders,
            threads=config.threads,
        )
    except OSError as error:
        raise CallError(f"out={config.out}: {error.strerror or error}") from error
    minutes = training.seconds / 60
    log.info("%d steps in %.1f minutes", training.step, minutes)
    checkpoint = str(checkpoint_of(out))
    result = {"checkpoint": checkpoint, "minutes": round(minutes, 1)}
    sys.stdout.write((json.dumps(result) if as_json else checkpoint) + "\n")
    return EXIT_DONE


def main() -> int:
    """The command line."""
    return run_command(
        "train_demo_encoder", TrainDemoEncoderConfig, train_demo_encoder, sys.argv[1:]
    )


if __name__ == "__main__":
    sys.exit(main())
