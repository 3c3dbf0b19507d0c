"""`python -m jobs.reduce run=RUN`: from the scores of a run to a verdict per model and concept."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass

from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.settings import setting
from jobs.pipeline.results.leaderboard import print_leaderboard
from jobs.pipeline.results.summary import summarise_run
from jobs.pipeline.storage.filesystem import join
from jobs.pipeline.storage.redaction import redact

log = logging.getLogger(__name__)


@dataclass
class ReduceConfig:
    run: str = setting(help="directory of results: its scores/ are read, its summary/ is written")


def reduce_run(config: ReduceConfig, as_json: bool) -> int:
    """Reduce the scores of a run to a leaderboard and to tables per model and per concept."""
    summary = summarise_run(config.run)
    log.info("wrote %s", join(redact(config.run), "summary"))
    if as_json:
        sys.stdout.write(summary.to_json())
    else:
        print_leaderboard(summary.model)
    return EXIT_DONE


def main() -> int:
    """The command line."""
    return run_command("reduce", ReduceConfig, reduce_run, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
