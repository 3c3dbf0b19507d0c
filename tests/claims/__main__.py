"""`python -m tests.claims [checkpoint=demo] [split=test] [concepts=144] [photos_each=3]`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jobs.demo.world.subjects import concepts
from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.settings import setting
from masc_core import MaSC
from masc_core.defaults import DEMO, DEMO_MAX_NUM_PATCHES
from tests.benchmarks.figures import show
from tests.claims.figures import measured_on, on_real_photos
from tests.photos import are_there, by_subject


@dataclass
class ClaimsConfig:
    checkpoint: str = setting(DEMO, "whose figures")
    split: Literal["validation", "test"] = setting("test", "concepts; choose by validation only")
    concepts: int = setting(144, "how many of them")
    photos_each: int = setting(3, "each in another scene")
    out: str = setting("claims.json", "the figures, as JSON")


def claims(config: ClaimsConfig, as_json: bool) -> int:
    """What an encoder's CP and PF tell apart on concepts it has never seen; some minutes."""
    masc = MaSC.from_pretrained(
        config.checkpoint, device="cpu", max_num_patches=DEMO_MAX_NUM_PATCHES
    )
    subjects = concepts(config.split)[: config.concepts]
    figures = measured_on(masc, subjects, config.photos_each)
    if are_there():
        figures += on_real_photos(masc, by_subject())
    show(figures, Path(config.out))
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(run_command("claims", ClaimsConfig, claims, sys.argv[1:]))
