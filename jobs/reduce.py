"""Reduce the scores of a run to a verdict per model and per concept: `python -m jobs.reduce run=RUN`."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass

from rich.console import Console

from jobs.pipeline.command_line import EXIT_DONE, run_command, setting
from jobs.pipeline.leaderboard import terminal_table
from jobs.pipeline.storage import join, without_credentials
from jobs.pipeline.summary import summarise_run

log = logging.getLogger(__name__)


@dataclass
class ReduceConfig:
    run: str = setting(help="directory of results: its scores/ are read, its summary/ is written")


def reduce_run(config: ReduceConfig, as_json: bool) -> int:
    """Reduce the scores of a run to a leaderboard and to tables per model and per concept."""
    summary = summarise_run(config.run)
    log.info("wrote %s", join(without_credentials(config.run), "summary"))
    if as_json:
        sys.stdout.write(summary.to_json())
        return EXIT_DONE
    table, console = terminal_table(summary.model), Console()
    # A file or a pipe has no edge to wrap at.
    console.print(table, width=None if console.is_terminal else sys.maxsize)
    return EXIT_DONE


def main() -> int:
    return run_command("reduce", ReduceConfig, reduce_run, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
