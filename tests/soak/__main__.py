"""`python -m tests.soak [seconds=1200] [seed=0] [folder=DIR]`: runs that nothing can harm."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE, EXIT_INCOMPLETE
from jobs.pipeline.command.settings import setting
from tests.soak.cycle import Cycle, Tally
from tests.soak.faults import FAULTS, draws
from tests.soak.world import Size, World, world

log = logging.getLogger(__name__)

SIZE = Size(shards=120, samples_a_shard=8, nodes=3)
DELAY = 3.0
"""Seconds before the storage begins with a shard: small images would be done too soon."""
FAULTS_A_CYCLE = 2 * len(FAULTS)


@dataclass
class SoakConfig:
    seconds: int = setting(1200, "for so long faults happen; the last run is then finished")
    seed: int = setting(0, "of the faults: which, when, and what they hit")
    folder: str = setting("soak", "where shards, the encoder and the calls' logs go")


@dataclass
class Outcome:
    """What all cycles came to."""

    seed: int
    tally: Tally
    faults: Counter[str]
    requests: Counter[str]
    """Faults of single requests to the storage, by kind."""
    cycles: int
    calls: int
    problems: list[str]

    @property
    def is_right(self) -> bool:
        """Nothing was lost, doubled or changed, and every call ended as it should."""
        return self.tally.is_right and not self.problems


def soak(config: SoakConfig, as_json: bool) -> int:
    """Disturb runs at random and prove that every sample is scored once, as in a run left alone.

    Each run is called again until it is done, and its rows are then held against those of an
    undisturbed run. The same seed draws the same faults.
    """
    with world(Path(config.folder).absolute(), SIZE, config.seed) as made:
        outcome = _cycles(made, config)
    if as_json:
        document = {**asdict(outcome), "is_right": outcome.is_right}
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        _show(outcome)
    return EXIT_DONE if outcome.is_right else EXIT_INCOMPLETE


def undisturbed(world: World) -> dict[str, dict[str, Any]]:
    """Rows by key of a run that was left alone.

    Raises:
        RuntimeError: even that does not end well.
    """
    cycle = Cycle(world, "undisturbed")
    cycle.finish()
    rows = world.rows(cycle.run)
    if cycle.problems or any(row["status"] != "ok" for row in rows):
        raise RuntimeError(f"the undisturbed run went wrong: {cycle.problems}")
    return {row["key"]: row for row in rows}


def _cycles(world: World, config: SoakConfig) -> Outcome:
    truth = undisturbed(world)
    log.info("%d samples scored undisturbed; from here on they are not", len(truth))
    outcome = Outcome(config.seed, Tally(), Counter(), Counter(), 0, 0, [])
    until = time.monotonic() + config.seconds
    drawn = draws(config.seed)
    while time.monotonic() < until:
        cycle = Cycle(world, f"cycle-{outcome.cycles:03d}")
        cycle.disturb(islice(drawn, FAULTS_A_CYCLE), until, DELAY)
        cycle.finish()
        tally = cycle.check(truth)
        outcome.cycles += 1
        outcome.calls += len(cycle.calls)
        outcome.tally += tally
        outcome.faults += cycle.faults
        outcome.problems += cycle.problems
        log.info(
            "%s: %d faults, %d calls, %d of %d samples found",
            cycle.run, cycle.faults.total(), len(cycle.calls), tally.found, tally.expected,
        )  # fmt: skip
        for problem in cycle.problems:
            log.error("%s", problem)
    outcome.requests = Counter({str(kind): n for kind, n in world.proxy.injected.items()})
    return outcome


def _show(outcome: Outcome) -> None:
    tally = outcome.tally
    verdict = "right" if outcome.is_right else "WRONG"
    table = Table("faults", title=f"soak, seed {outcome.seed}: {verdict}")
    table.add_column("", justify="right")
    for name in FAULTS:
        table.add_row(name, f"{outcome.faults[name]:,}")
    table.add_section()
    for name, n in sorted(outcome.requests.items()):
        table.add_row(f"requests: {name}", f"{n:,}")
    table.add_section()
    table.add_row("runs", f"{outcome.cycles:,}")
    table.add_row("calls", f"{outcome.calls:,}")
    table.add_section()
    table.add_row("samples expected", f"{tally.expected:,}")
    table.add_row("samples found", f"{tally.found:,}")
    table.add_row("duplicates", f"{tally.duplicates:,}")
    table.add_row("missing", f"{tally.missing:,}")
    table.add_row("unknown", f"{tally.unknown:,}")
    table.add_row("errors", f"{tally.errors:,}")
    table.add_row("rows not equal to the last bit", f"{tally.inexact:,}")
    table.add_row("largest difference of a score", f"{tally.largest_difference:.1e}")
    Console(width=100).print(table)
    for problem in outcome.problems:
        Console(soft_wrap=True).print(problem, markup=False)


if __name__ == "__main__":
    sys.exit(run_command("soak", SoakConfig, soak, sys.argv[1:]))
