"""`python -m jobs.reduce run=RUN`: from the scores of runs to a verdict per model and concept."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Before the imports that take seconds.
    from jobs.pipeline.command.interrupts import exit_at_interrupt, run_main

    exit_at_interrupt()

import logging
from dataclasses import dataclass

from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.settings import setting
from jobs.pipeline.errors import CallError
from jobs.pipeline.results.leaderboard import further_scores, print_leaderboard
from jobs.pipeline.results.summary import summarise_runs
from jobs.pipeline.storage.filesystem import join, refuse_for_results
from jobs.pipeline.storage.redaction import redact

log = logging.getLogger(__name__)


@dataclass
class ReduceConfig:
    run: list[str] = setting([], "directories of results, whose scores/ are reduced as one")
    out: str | None = setting(None, "directory of the summary; null is summary/ in the one run")
    show: list[str] = setting([], "score columns to print beside CP and PF; all are in the summary")
    prune: bool = setting(False, "remove parts whose shard is gone or has changed")


def reduce_runs(config: ReduceConfig, as_json: bool) -> int:
    """Reduce the scores of runs to a leaderboard and to tables per model and per concept."""
    if not config.run:
        raise CallError("run= is required: directories of results (see --help)")
    if config.out is None and len(config.run) > 1:
        raise CallError("out= is required where there are several runs: directory of the summary")
    out = join(config.run[0], "summary") if config.out is None else config.out
    refuse_for_results(out, "run" if config.out is None else "out")
    summary = summarise_runs(config.run, out, prune_stale=config.prune, show=config.show)
    log.info("wrote %s", redact(out))
    if as_json:
        sys.stdout.write(summary.to_json())
    else:
        further = further_scores(summary.model)
        shown = [name for name in config.show if name in further]
        print_leaderboard(summary.model, shown, summary.groups)
    return EXIT_DONE


def main() -> int:
    """The command line."""
    return run_command("reduce", ReduceConfig, reduce_runs, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run_main(main))
