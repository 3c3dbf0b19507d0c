"""`python -m jobs.build_demo_encoder`: a small encoder with random weights, without a download."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass

from jobs.pipeline.command_line import EXIT_DONE, CallError, run_command, setting

log = logging.getLogger(__name__)


@dataclass
class BuildDemoEncoderConfig:
    out: str = setting(help="directory for the checkpoint")
    seed: int = setting(0, "of the random weights")


def build_demo_encoder(config: BuildDemoEncoderConfig, as_json: bool) -> int:
    """Write a SigLIP2 NaFlex checkpoint of about a million random weights, patch size 16.

    It loads and runs like a trained one; what it scores shows that the parts fit, not quality.
    """
    from transformers.utils import logging as transformers_logging

    from jobs.world.checkpoint import write_random_checkpoint

    # Its progress bars and its remarks on its own defaults would hide the one line that matters.
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        write_random_checkpoint(config.out, seed=config.seed, hidden_size=128, layers=2, heads=4)
    except OSError as error:
        raise CallError(f"out={config.out}: {error.strerror or error}") from error
    log.warning("the weights are random: scores will show the plumbing, not quality")
    sys.stdout.write((json.dumps({"checkpoint": config.out}) if as_json else config.out) + "\n")
    return EXIT_DONE


def main() -> int:
    """The command line."""
    return run_command(
        "build_demo_encoder", BuildDemoEncoderConfig, build_demo_encoder, sys.argv[1:]
    )


if __name__ == "__main__":
    sys.exit(main())
