"""`python -m tests.parity [only=NAME,...] [folder=DIR]`: a table, and exit 1 where one differs."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.settings import setting
from jobs.pipeline.errors import CallError
from masc_core.torchvision_compat import make_torchvision_importable
from tests.parity.comparing import Comparison, by_the_authors, compare, record, systems
from tests.photos import WHY_NOT, are_there

log = logging.getLogger(__name__)

HEADERS = (
    "system",
    "checkpoint",
    "loaded",
    "compared with",
    "n",
    "spread",
    "difference",
    "verdict",
)


@dataclass
class ParityConfig:
    only: list[str] = setting([], "the systems to compare; none means all")
    record: bool = setting(False, "keep what the authors' code says, for the tests")
    folder: str = setting("build/comparators", "where environments and checkpoints go")


def parity(config: ParityConfig, as_json: bool) -> int:
    """Hold each system against its authors' package, in an environment of its own."""
    known = systems()
    for name in config.only:
        if name not in known:
            raise CallError(f"only={name}: no such system; known: {', '.join(known)}")
    if not are_there():
        raise CallError(WHY_NOT)
    make_torchvision_importable()
    compared: list[Comparison] = []
    failed: list[str] = []
    for name in config.only or known:
        try:
            checkpoints = by_the_authors(name, Path(config.folder))
        except subprocess.CalledProcessError as error:
            log.error("%s: could not be compared: %s", name, error)
            failed.append(name)
            continue
        for checkpoint in checkpoints:
            if config.record:
                record(name, checkpoint)
            compared.append(compare(name, checkpoint))
        if not checkpoints:
            failed.append(name)
    rows = [
        (
            *(own.system, own.checkpoint, own.loaded, own.compared_with, own.n),
            *(f"{own.spread:.3f}", f"{own.difference:.1e}", own.verdict),
        )
        for own in compared
    ]
    rows += [(name, *[""] * 6, "NOT COMPARED") for name in failed]
    sys.stdout.write(tabulate(rows, HEADERS, disable_numparse=True) + "\n")
    return EXIT_DONE if all(own.verdict == "equal" for own in compared) and not failed else 1


if __name__ == "__main__":
    sys.exit(run_command("parity", ParityConfig, parity, sys.argv[1:]))
