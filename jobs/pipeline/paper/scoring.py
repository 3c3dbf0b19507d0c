"""The rows that tables need: one pass over the shards for all tables that share them."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from jobs.pipeline.cluster.running import Outcome
from jobs.pipeline.command.exit_status import EXIT_DONE, EXIT_INCOMPLETE, EXIT_TOO_MANY_ERRORS
from jobs.pipeline.errors import CallError
from jobs.pipeline.evaluation import EvaluateConfig, evaluate
from jobs.pipeline.paper.settings import PaperConfig
from jobs.pipeline.paper.shards import Shards, Unavailable
from jobs.pipeline.paper.systems import NO_WEIGHTS, System, encoder_problem, to_ask
from jobs.pipeline.results.numbers import counted
from jobs.pipeline.results.summary import Summary
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.rows import OK
from jobs.pipeline.run.scores import Scores
from jobs.pipeline.run.stale import open_counted
from jobs.pipeline.scoring.config import MetricConfig
from jobs.pipeline.storage.filesystem import join
from masc_core.comparators.settings import settings_key

log = logging.getLogger(__name__)

MOST_CAUSES = 5
"""That are named of rows without scores; the others are counted together."""


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
    """With all columns that workers can load, and by name why not of the others.

    Raises:
        CallError: MaSC itself, or what the call names a checkpoint of, cannot be loaded.
        Incomplete: it stopped.
    """
    failed: dict[str, str] = {}
    while True:
        try:
            return evaluate(asked), failed
        except CallError as error:
            # As where a package downloads its weights at its first use, and cannot.
            key = _that_cannot_be_loaded(str(error))
            names = [name for name in asked.metric.extra if settings_key(name) == key]
            own = asked.comparators.get(key or "")
            if not names or (own is not None and own.name_or_path is not None):
                raise
            log.warning("%s", error)
            failed |= dict.fromkeys(names, f"{NO_WEIGHTS}: {str(error).partition('=')[2]}")
            kept = [name for name in asked.metric.extra if name not in names]
            asked = replace(asked, metric=replace(asked.metric, extra=kept))


def _that_cannot_be_loaded(error: str) -> str | None:
    """Of a worker's error, the name in `comparators` of what it could not load."""
    found = re.match(r"comparators\.(.+?)\.name_or_path=.*: cannot be loaded: ", error)
    return None if found is None else found[1]


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
