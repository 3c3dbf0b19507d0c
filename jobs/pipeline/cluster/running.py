"""A whole run of a shard job: who has it, what is left of it, Ray, the driver, and the record."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from jobs.pipeline.cluster.config import LimitsConfig, RayConfig, WorkersConfig
from jobs.pipeline.cluster.driver import Driver
from jobs.pipeline.cluster.joining import joined_cluster
from jobs.pipeline.cluster.kept_workers import kept_workers
from jobs.pipeline.cluster.layout import layout_of_cluster, require_possible
from jobs.pipeline.cluster.progress import Progress
from jobs.pipeline.cluster.series import Series
from jobs.pipeline.cluster.shard_job import ShardJob
from jobs.pipeline.cluster.stopping import Stop
from jobs.pipeline.command.messages import messages_about
from jobs.pipeline.errors import CallError, Incomplete, StorageError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.lease import Lease
from jobs.pipeline.run.record import RunRecord
from jobs.pipeline.run.reports import Warned, fewest_kinds, merged
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.redaction import redact

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Task(ShardJob, Protocol[Result]):
    """A shard job with what it means to it that a run is begun, gone on with and done."""

    verb: str
    """What is done to shards, for the progress."""
    shards: Sequence[Shard]
    left: Sequence[tuple[Shard, str]]
    """Shards that this call has to leave as they are, each with why; known once it has begun."""

    def begin(self, run: RunDirectory) -> list[Shard]:
        """The shards that are still to do; called once, before there is a cluster.

        Raises:
            CallError: the run was made by another configuration.
        """

    def still_to_do(self, run: RunDirectory, shards: Sequence[Shard]) -> list[Shard]:
        """Of these shards, those that are not done."""

    def needs_cluster(self) -> bool:
        """Whether something has to be read on the cluster before it is known what is to do."""

    def begin_on_cluster(self, run: RunDirectory, to_do: list[Shard]) -> list[Shard]:
        """Read that; the shards that are to do, then.

        Raises:
            CallError: the run was made from other inputs.
        """

    def described(self) -> Mapping[str, Any]:
        """What `run.json` says of it, as far as it is known by now."""

    def described_inputs(self) -> Mapping[str, Any]:
        """Of that, what is said of the inputs."""

    def finish(self, run: RunDirectory, is_on_cluster: bool) -> Result:
        """What all shards come to.

        Raises:
            Incomplete: no shard could be done.
        """

    def counted(self, result: Result) -> Mapping[str, Any]:
        """What `run.json` says of the result."""


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """How a run ended."""

    result: Result
    n_set_aside: int = 0
    """Shards that failed too often; the same call tries them again."""
    n_left: int = 0
    """Shards that this call could not do, and left as they were."""
    warnings: Mapping[str, Warned] = field(default_factory=dict)
    """What was suspicious of the shards that this call did, by its kind."""


def run_shard_job(
    task: Task[Result],
    run: RunDirectory,
    workers: WorkersConfig,
    ray: RayConfig,
    limits: LimitsConfig,
) -> Outcome[Result]:
    """Do a task's shards, or go on with them where an earlier call stopped.

    Raises:
        CallError: the call is wrong; or another driver has the run.
        Incomplete: it was not done: an interrupt, workers that do not start, storage that fails.
            The same call goes on from there.
    """
    with (
        messages_about(redact(run.url)),
        Stop(limits.grace_seconds) as stop,
        Lease(run, on_loss=partial(stop.ask, "another driver has taken this run", 0)) as lease,
    ):
        to_do = task.begin(run)
        n_before = len(task.shards) - len(to_do)
        log.info("%d shards, %d of them %s before", len(task.shards), n_before, task.participle)
        record = RunRecord(run, task.described(), len(task.shards))
        may_go_on = not task.needs_cluster()
        if may_go_on:
            if not to_do:
                return _finished(task, run, record)
            record.write("running")
        try:
            with joined_cluster(ray.address, stop) as is_own:
                if to_do:
                    require_possible(layout_of_cluster(workers, len(to_do)), may_grow=not is_own)
                to_do = task.begin_on_cluster(run, to_do)
                if not to_do:
                    return _finished(task, run, record)
                if not may_go_on:
                    # Not before that is known: what the record says is trusted.
                    record.write("running", **task.described())
                    may_go_on = True
                return _driven(task, run, to_do, workers, limits, stop, record, lease)
        except CallError:
            if may_go_on:
                record.write("stopped", **task.described())
            raise
        except (KeyboardInterrupt, Incomplete, StorageError) as error:
            # What stopped it may also keep the record from being written.
            with suppress(StorageError):
                if may_go_on and not lease.is_lost:
                    record.write("stopped", **task.described())
            raise Incomplete(str(error) or "interrupted") from error


def _finished(task: Task[Result], run: RunDirectory, record: RunRecord) -> Outcome[Result]:
    """Every shard that can be was done before."""
    _tell_of_left(task)
    result = task.finish(run, is_on_cluster=False)
    described = run.read_description() or {}
    now = {**task.described_inputs(), **task.counted(result)}
    state = "incomplete" if task.left else "done"
    if described.get("state") != state:
        # Its driver died after the last commit.
        record.write(state, **task.described(), **task.counted(result))
    elif any(described.get(key) != value for key, value in now.items()):
        # Inputs lie elsewhere, or have another version, and their content was found to be the same;
        # or shards of before are gone.
        run.describe({**described, **now})
    return Outcome(result, n_left=len(task.left))


def _tell_of_left(task: Task[Result]) -> None:
    for shard, why in task.left:
        about = {"shard": shard.id}
        log.error("shard %s is left as it is: %s", redact(shard.url), why, extra=about)


def _driven(
    task: Task[Result],
    run: RunDirectory,
    to_do: list[Shard],
    workers: WorkersConfig,
    limits: LimitsConfig,
    stop: Stop,
    record: RunRecord,
    lease: Lease,
) -> Outcome[Result]:
    """Do the shards on the cluster that was joined."""
    kept = kept_workers()
    of_call: dict[str, Any] = {"start_worker": kept.start, "release": kept.keep} if kept else {}
    with (
        Progress(len(to_do), task.verb) as progress,
        Series(redact(run.url), len(to_do)) as series,
    ):
        lease.told = progress.document
        driver = Driver(
            *(task, layout_of_cluster(workers, len(to_do)), run, to_do),
            limits.max_shard_attempts,
            [progress, series],
            stop=stop,
            capacity=lambda: layout_of_cluster(workers, len(to_do)).count,
            **of_call,
        )
        driver.do_all()
    done = time.monotonic()
    # Some worker may have committed what was set aside; and one of a driver that is dead may have
    # written over what this one's did.
    undone = task.still_to_do(run, to_do)
    set_aside = [shard for shard in undone if shard in driver.set_aside]
    if len(undone) > len(set_aside):
        raise Incomplete(f"{len(undone) - len(set_aside)} parts were written over by another call")
    _tell_of_left(task)
    result = task.finish(run, is_on_cluster=True)
    ended = time.monotonic()
    began_shards = driver.began_shards or done
    warnings = merged(report.warnings for report in driver.reports)
    record.write(
        "incomplete" if set_aside or task.left else "done",
        **task.described(),
        **task.counted(result),
        n_shards_scored=len(driver.reports),
        n_shards_set_aside=len(set_aside),
        errors=fewest_kinds(driver.errors),
        warnings={kind: asdict(warned) for kind, warned in warnings.items()},
        workers=driver.describe_workers(),
        timings={
            "start": round(began_shards - record.began, 3),
            "scoring": round(done - began_shards, 3),
            "reduce": round(ended - done, 3),
        },
    )
    return Outcome(result, len(set_aside), len(task.left), warnings)
