"""`python -m jobs.evaluate`: the main job, from shards of generated images to a leaderboard."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Before the imports that take seconds.
    from jobs.pipeline.command.interrupts import exit_at_interrupt, run_main

    exit_at_interrupt()

import json
import logging

from jobs.pages.reporting import report
from jobs.pages.settings import ReportConfig
from jobs.pipeline.cluster.running import Outcome
from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE, EXIT_INCOMPLETE, EXIT_TOO_MANY_ERRORS
from jobs.pipeline.command.messages import print_lines
from jobs.pipeline.comparison import EXITS, Judged, compare
from jobs.pipeline.dry_run import Look, lines_of
from jobs.pipeline.errors import CallError, Incomplete, StorageError
from jobs.pipeline.evaluation import EvaluateConfig, comparing, dry_run, evaluate
from jobs.pipeline.results.comparison.terminal import print_comparisons
from jobs.pipeline.results.leaderboard import further_scores, print_leaderboard
from jobs.pipeline.results.summary import Summary
from jobs.pipeline.scoring.warnings import CURES
from jobs.pipeline.storage.filesystem import absolute
from jobs.pipeline.storage.redaction import redact

log = logging.getLogger(__name__)


def evaluate_command(config: EvaluateConfig, as_json: bool) -> int:
    """Score WebDataset shards of generated images with MaSC, and rank the models that made them.

    Every GPU of the Ray cluster (or the CPU, without one) takes a worker. Results go to RUN: one
    row a sample in scores/, tables per model and concept in summary/. The same call again goes on
    where it stopped.

    With baseline=RUN early=true it is held against that run after each shard, and stops as soon as
    the verdict stands; exit status then 4 regressed, 5 undecided by all of it.
    """
    if config.dry_run:
        return _show_look(dry_run(config), config, as_json)
    try:
        outcome = evaluate(config)
    except Incomplete as error:
        log.error("%s; the same call goes on from here", error)
        return EXIT_INCOMPLETE
    judged = compare(comparing(config)) if config.early and not outcome.is_incomplete else None
    _show(config, outcome, as_json, judged)
    status = _verdict(config, outcome, judged)
    return status if not config.report or _has_page(config) else EXIT_INCOMPLETE


def _show_look(look: Look, config: EvaluateConfig, as_json: bool) -> int:
    if as_json:
        sys.stdout.write(json.dumps(look.document()) + "\n")
    else:
        print_lines(lines_of(look))
    if look.unreadable or look.error_rate > config.limits.max_error_rate:
        log.error("not all that was looked at can be scored")
        return EXIT_TOO_MANY_ERRORS
    return EXIT_DONE


def _show(
    config: EvaluateConfig, outcome: Outcome[Summary], as_json: bool, judged: Judged | None
) -> None:
    """The result, on stdout."""
    summary = outcome.result
    if not as_json:
        known = further_scores(summary.model)
        further = [name for name in config.metric.extra if name in known]
        print_leaderboard(summary.model, further, summary.groups)
        if judged is not None:
            print_comparisons(judged.comparisons, judged.rules, judged.unmatched)
        return
    run = redact(absolute(config.run))
    document = {
        "run": run,
        "n_shards_set_aside": outcome.n_set_aside,
        "n_shards_left": outcome.n_left,
        "n_shards_not_needed": outcome.n_not_needed,
        "verdict": None if judged is None else judged.verdict,
        **summary.document(),
    }
    sys.stdout.write(json.dumps(document) + "\n")


def _has_page(config: EvaluateConfig) -> bool:
    """Write the page; whether it could be. The scores are there in any case."""
    try:
        written = report(ReportConfig(run=[absolute(config.run)]))
    except (CallError, StorageError) as error:
        log.error("the report could not be written: %s; jobs.report tries again", error)
        return False
    log.info("report: %s", written.page)
    return True


def _verdict(config: EvaluateConfig, outcome: Outcome[Summary], judged: Judged | None) -> int:
    """The exit status, said."""
    counts = outcome.result.counts
    log.info(
        "%d samples: %d ok, %d skipped, %d errors; %d shards set aside",
        *(counts.n, counts.n_ok, counts.n_skipped, counts.n_error, outcome.n_set_aside),
    )
    for kind, warned in outcome.warnings.items():
        log.warning("%d %s; the first is %s", warned.n, CURES[kind], warned.example)
    log.info(
        "scores, tables and leaderboard: %s (%d parts, %d of them of shards that this call named)",
        *(redact(absolute(config.run)), outcome.result.parts, outcome.result.named_parts),
    )
    if outcome.n_left:
        log.error(
            "%d shards have changed and were left as they are; ask for the columns that their "
            "parts have too",
            outcome.n_left,
        )
        return EXIT_INCOMPLETE
    if outcome.n_set_aside:
        log.error("shards were set aside (see failed/); the same call tries them again")
        return EXIT_INCOMPLETE
    if outcome.n_not_needed:
        log.info(
            "stopped early: %d shards were not needed; early=false goes on to the end",
            outcome.n_not_needed,
        )
    if judged is not None and judged.verdict in EXITS:
        log.error("%s against the baseline", judged.verdict)
        return EXITS[judged.verdict]
    if counts.n_error > config.limits.max_error_rate * counts.n:
        log.error(
            "%d of %d samples could not be scored, more than limits.max_error_rate=%g allows; "
            "the column `error` in scores/ says why",
            *(counts.n_error, counts.n, config.limits.max_error_rate),
        )
        return EXIT_TOO_MANY_ERRORS
    return EXIT_DONE


def main() -> int:
    """The command line."""
    return run_command("evaluate", EvaluateConfig, evaluate_command, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run_main(main))
