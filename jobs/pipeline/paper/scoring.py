"""The rows that tables need: one pass over the shards for all tables that share them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from jobs.pipeline.cluster.running import Outcome
from jobs.pipeline.command.exit_status import EXIT_DONE, EXIT_INCOMPLETE, EXIT_TOO_MANY_ERRORS
from jobs.pipeline.errors import Incomplete
from jobs.pipeline.evaluation import EvaluateConfig, evaluate
from jobs.pipeline.paper.settings import PaperConfig
from jobs.pipeline.paper.shards import Shards, Unavailable
from jobs.pipeline.paper.systems import NOT_SCORED, System, encoder_problem, to_ask
from jobs.pipeline.results.numbers import counted
from jobs.pipeline.results.summary import Summary
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.rows import OK
from jobs.pipeline.run.scores import Scores
from jobs.pipeline.run.stale import open_counted
from jobs.pipeline.scoring.config import MetricConfig
from jobs.pipeline.storage.filesystem import join
from masc_core.comparators import find_comparator

log = logging.getLogger(__name__)

MOST_CAUSES = 5
"""That are named of rows without scores; the others are counted together."""

CANNOT_LOAD = "workers do not start"
"""So begins what the driver says of a metric that no worker can load."""


@dataclass(frozen=True)
class Scored:
    """A run of a data set, and what is to be said of it."""

    scores: Scores
    notes: tuple[str, ...]
    problems: Mapping[str, str]
    """By system, why the run has no column of it."""
    exit_status: int


def score(
    config: PaperConfig,
    shards: Shards,
    min_fg_fraction: float,
    systems: Sequence[System],
    problems: Mapping[str, str],
) -> Scored:
    """Score the shards by all systems that can be had, or go on with it.

    Raises:
        Unavailable: MaSC's own encoder cannot be had, and there are no rows yet.
        CallError: the configuration cannot be meant, or the rows are of another one.
        Incomplete: it stopped; the same call goes on.
    """
    run = join(config.out, "runs", shards.name)
    if (why := encoder_problem(problems)) and not RunDirectory(run).parts():
        raise Unavailable(f"{why} (of MaSC's encoder, with which every run begins)")
    masks, extra = to_ask(systems, problems)
    asked = EvaluateConfig(
        samples=shards.urls["generations"],
        references=shards.urls["references"],
        run=run,
        # These rows are this command's own: a part of a shard that is gone has no place in a table.
        prune=True,
        encoder=config.encoder,
        metric=MetricConfig(min_fg_fraction=min_fg_fraction, masks=masks, extra=extra),
        comparators=config.comparators,
        workers=config.workers,
        ray=config.ray,
        limits=config.limits,
    )
    log.info("scoring %s by %s", shards.name, ", ".join(["cp", "pf", *masks[1:], *extra]))
    outcome, failed = _evaluated(asked)
    scores = open_counted([run])
    return Scored(scores, _notes(outcome, scores), failed, _exit_status(config, outcome))


def _evaluated(asked: EvaluateConfig) -> tuple[Outcome[Summary], dict[str, str]]:
    """With all columns at once; or, where a worker can load not all, with those that it can.

    Raises:
        Incomplete: it stopped, or MaSC itself cannot be loaded.
    """
    own = [name for name in asked.metric.extra if find_comparator(name) is not None]
    try:
        return evaluate(asked), {}
    except Incomplete as error:
        if not own or not str(error).startswith(CANNOT_LOAD):
            raise
        log.warning("%s; each comparator is tried by itself", error)
    kept = [name for name in asked.metric.extra if name not in own]
    outcome, failed = evaluate(_with_extra(asked, kept)), {}
    for name in own:
        try:
            outcome = evaluate(_with_extra(asked, [*kept, name]))
        except Incomplete as error:
            if not str(error).startswith(CANNOT_LOAD):
                raise
            failed[name] = f"{NOT_SCORED}: {error}"
    return outcome, failed


def _with_extra(asked: EvaluateConfig, extra: Sequence[str]) -> EvaluateConfig:
    return replace(asked, metric=replace(asked.metric, extra=list(extra)))


def _notes(outcome: Outcome[Summary], scores: Scores) -> tuple[str, ...]:
    """How many samples there are, and why some have no scores."""
    counts = outcome.result.counts
    said = [
        f"{counts.n:,} samples: {counts.n_ok:,} scored, {counts.n_skipped:,} skipped (small masks),"
        f" {counts.n_error:,} errors"
    ]
    table = scores.select(["error"]).table()
    unscored = zip(table["status"].to_pylist(), table["error"].to_pylist(), strict=True)
    errors = Counter(str(why) for status, why in unscored if status not in (OK, "skipped"))
    if errors:
        said.append(f"errors: {counted(_the_most(errors))}")
    for n, what in (
        (outcome.n_set_aside, "shards were set aside, and are tried again by the same call"),
        (outcome.n_left, "shards have changed and were left as they are"),
    ):
        if n:
            said.append(f"{n:,} {what}")
    return tuple(said)


def _the_most(causes: Counter[str]) -> dict[str, int]:
    named = dict(causes.most_common(MOST_CAUSES))
    others = causes.total() - sum(named.values())
    return {**named, "others": others} if others else named


def _exit_status(config: PaperConfig, outcome: Outcome[Summary]) -> int:
    if outcome.n_set_aside or outcome.n_left:
        return EXIT_INCOMPLETE
    counts = outcome.result.counts
    is_too_many = counts.n_error > config.limits.max_error_rate * counts.n
    return EXIT_TOO_MANY_ERRORS if is_too_many else EXIT_DONE


def worst_status(statuses: Iterable[int]) -> int:
    """Not done counts more than too many errors."""
    return max(statuses, default=EXIT_DONE)
