"""The passes of a call over its shards, one after the other, each by workers of its own.

What does not fit on a device beside the rest waits for a pass of its own. All of them are under one
lease, on the cluster that was joined. A pass that is asked for again goes on with what it lacks.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Protocol

from jobs.pipeline.cluster.config import LimitsConfig, WorkersConfig
from jobs.pipeline.cluster.driver import Driver
from jobs.pipeline.cluster.enough import Asking, Enough
from jobs.pipeline.cluster.kept_workers import kept_workers
from jobs.pipeline.cluster.layout import layout_of_cluster
from jobs.pipeline.cluster.progress import Progress
from jobs.pipeline.cluster.series import Series
from jobs.pipeline.cluster.shard_job import ShardJob
from jobs.pipeline.cluster.standing import Watcher
from jobs.pipeline.cluster.stopping import Stop
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.lease import Lease
from jobs.pipeline.run.reports import Warned, fewest_kinds, merged
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.redaction import redact

log = logging.getLogger(__name__)


class Pass(ShardJob, Protocol):
    """A shard job among those of one call."""

    names: Sequence[str]
    """What it does beside the other passes, for messages; not asked of one that is alone."""

    def to_do(self, run: RunDirectory, shards: Sequence[Shard]) -> list[Shard]:
        """Of these shards, those that it can do by now and has not done."""


@dataclass
class Passed:
    """What the passes of a call came to."""

    drivers: list[tuple[int, Driver]] = field(default_factory=list)
    """Of each pass that had something to do, with its number from 1 on."""
    is_enough: bool = False
    """Whether the first was ended, or not begun, since what is there is enough."""

    def set_aside(self, since: int = 1) -> frozenset[str]:
        """The ids of the shards that failed too often, in the passes from this one on."""
        drivers = [driver for number, driver in self.drivers if number >= since]
        return frozenset(shard.id for driver in drivers for shard in driver.set_aside)

    @property
    def began_shards(self) -> float | None:
        """When the first shard was begun, by the monotonic clock."""
        began = [driver.began_shards for _, driver in self.drivers if driver.began_shards]
        return min(began, default=None)

    @property
    def warnings(self) -> dict[str, Warned]:
        """What is suspicious of the shards. What several passes saw of one counts once: as by the
        pass that saw most of it."""
        of_shards: dict[str, dict[str, Warned]] = {}
        for report in (report for _, driver in self.drivers for report in driver.reports):
            known = of_shards.setdefault(report.shard_id, {})
            for kind, warned in report.warnings.items():
                if kind not in known or warned.n > known[kind].n:
                    known[kind] = warned
        return merged(of_shards.values())

    def described(self, n_passes: int) -> dict[str, Any]:
        """What `run.json` says of it."""
        done = {r.shard_id for _, driver in self.drivers for r in driver.reports}
        errors = sum((driver.errors for _, driver in self.drivers), Counter[str]())
        return {
            "n_shards_scored": len(done),
            "n_shards_set_aside": len(self.set_aside()),
            "errors": fewest_kinds(errors),
            "warnings": {kind: asdict(warned) for kind, warned in self.warnings.items()},
            "workers": [
                {**worker, **({"pass": number} if n_passes > 1 else {})}
                for number, driver in self.drivers
                for worker in driver.describe_workers()
            ],
        }


@dataclass(frozen=True)
class Drive:
    """How passes are driven: what all of them have in common."""

    run: RunDirectory
    verb: str
    workers: WorkersConfig
    limits: LimitsConfig
    stop: Stop
    lease: Lease
    enough: Enough | None
    is_begun: Callable[[Sequence[Shard]], bool]
    """Whether one of these shards has results, of which some are lacking."""
    tell_incomplete: Callable[[], None]
    """Has the record say so: from the second pass on there are rows, which lack columns."""

    def do_all(self, passes: Sequence[Pass], to_do: list[Shard]) -> Passed:
        """Do the passes, in order; the first no further than is enough.

        Raises: as `Driver.do_all`.
        """
        done = Passed(is_enough=self.enough is not None and self.enough.is_enough())
        for number, each in enumerate(passes, start=1):
            shards, title = self.shards_of(number, passes, to_do, done), ""
            if len(passes) > 1:
                title = f"pass {number} of {len(passes)}: {', '.join(each.names)}"
                log.info("%s; %d shards", title, len(shards))
            if shards and number > 1:
                self.tell_incomplete()
            if shards:
                self._do(each, number, title, shards, done)
        return done

    def shards_of(
        self, number: int, passes: Sequence[Pass], to_do: list[Shard], done: Passed
    ) -> list[Shard]:
        """What is left for a pass. Of what is enough as it is, no shard is begun; one that was
        begun is done in whole."""
        if number == 1:
            return [s for s in to_do if self.is_begun([s])] if done.is_enough else to_do
        failed = done.set_aside()
        shards = [s for s in passes[number - 1].to_do(self.run, to_do) if s.id not in failed]
        if done.is_enough:
            lacking = {shard.id for shard in passes[0].to_do(self.run, shards)}
            shards = [shard for shard in shards if shard.id not in lacking]
        return shards

    def _do(self, job: Pass, number: int, title: str, shards: list[Shard], done: Passed) -> None:
        enough = self.enough if number == 1 and not done.is_enough else None
        if enough is not None:
            shards = enough.in_order(shards)
        kept = kept_workers()
        of_call: dict[str, Any] = {"start_worker": kept.start, "release": kept.keep} if kept else {}
        with (
            Progress(len(shards), self.verb, title) as progress,
            Series(redact(self.run.url), len(shards), not done.drivers) as series,
            ExitStack() as stack,
        ):
            self.lease.told = partial(_told, progress, self.enough)
            watchers: list[Watcher] = [progress, series]
            asking = None
            if enough is not None:
                asking = stack.enter_context(Asking(enough, lambda: driver.begin_no_more()))
                watchers.append(asking)
            driver = Driver(
                *(job, layout_of_cluster(self.workers, len(shards)), self.run, shards),
                self.limits.max_shard_attempts,
                watchers,
                stop=self.stop,
                capacity=lambda: layout_of_cluster(self.workers, len(shards)).count,
                **of_call,
            )
            done.drivers.append((number, driver))
            driver.do_all()
            if asking is not None:
                asking.hear_last()
                done.is_enough = asking.is_enough


def _told(progress: Progress, enough: Enough | None) -> Mapping[str, Any]:
    """What a heartbeat says."""
    return {**progress.document(), **(enough.described(0) if enough is not None else {})}
