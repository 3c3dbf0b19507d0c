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
from jobs.pipeline.cluster.layout import layout_of_cluster, require_possible
from jobs.pipeline.cluster.progress import Progress
from jobs.pipeline.cluster.shard_job import ShardJob
from jobs.pipeline.cluster.stopping import Stop
from jobs.pipeline.errors import CallError, Incomplete, StorageError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.lease import Lease
from jobs.pipeline.run.record import RunRecord
from jobs.pipeline.run.reports import Warned, merged
from jobs.pipeline.run.shard import Shard

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Task(ShardJob, Protocol[Result]):
    """A shard job with what it means to it that a run is begun, gone on with and done."""

    verb: str
    """What is done to shards, for the progress."""
    shards: Sequence[Shard]

    def begin(self, run: RunDirectory) -> list[Shard]:
        """The shards that are still to do; called once, before there is a cluster.

        Raises:
            CallError: the run was made by another configuration.
        """

    def still_to_do(self, run: RunDirectory, shards: Sequence[Shard]) -> list[Shard]:
        """Of these shards, those that are not done."""

    def needs_cluster(self) -> bool:
        """Whether something has to be read on the cluster before it is known what is to do."""

    def begin_on_cluster(self, run: RunDirectory) -> None:
        """Read that.

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
        Stop(limits.grace_seconds) as stop,
        Lease(run, on_loss=partial(stop.ask, "another driver has taken this run", 0)) as lease,
    ):
        to_do = task.begin(run)
        n_before = len(task.shards) - len(to_do)
        log.info("%d shards, %d of them %s before", len(task.shards), n_before, task.participle)
        record = RunRecord(run, task.described(), len(task.shards))
        if not to_do and not task.needs_cluster():
            return _finished(task, run, record)
        if to_do:
            record.write("running")
        try:
            with joined_cluster(ray.address, stop) as is_own:
                if to_do:
                    require_possible(layout_of_cluster(workers, len(to_do)), may_grow=not is_own)
                task.begin_on_cluster(run)
                if not to_do:
                    return _finished(task, run, record)
                return _driven(task, run, to_do, workers, limits, stop, record)
        except CallError:
            if to_do:
                record.write("stopped")
            raise
        except (KeyboardInterrupt, Incomplete, StorageError) as error:
            # What stopped it may also keep the record from being written.
            with suppress(StorageError):
                if to_do and not lease.is_lost:
                    record.write("stopped")
            raise Incomplete(str(error) or "interrupted") from error


def _finished(task: Task[Result], run: RunDirectory, record: RunRecord) -> Outcome[Result]:
    """Every shard was done before."""
    result = task.finish(run, is_on_cluster=False)
    described = run.read_description() or {}
    now = {**task.described_inputs(), **task.counted(result)}
    if described.get("state") != "done":
        # Its driver died after the last commit.
        record.write("done", **task.described(), **task.counted(result))
    elif any(described.get(key) != value for key, value in now.items()):
        # Inputs lie elsewhere, or have another version, and their content was found to be the same;
        # or shards of before are gone.
        run.describe({**described, **now})
    return Outcome(result)


def _driven(
    task: Task[Result],
    run: RunDirectory,
    to_do: list[Shard],
    workers: WorkersConfig,
    limits: LimitsConfig,
    stop: Stop,
    record: RunRecord,
) -> Outcome[Result]:
    """Do the shards on the cluster that was joined."""
    with Progress(len(to_do), task.verb) as progress:
        driver = Driver(
            *(task, layout_of_cluster(workers, len(to_do)), run, to_do),
            limits.max_shard_attempts,
            progress,
            stop=stop,
            capacity=lambda: layout_of_cluster(workers, len(to_do)).count,
        )
        driver.do_all()
    done = time.monotonic()
    # Some worker may have committed these all the same.
    set_aside = task.still_to_do(run, driver.set_aside)
    result = task.finish(run, is_on_cluster=True)
    ended = time.monotonic()
    began_shards = driver.began_shards or done
    warnings = merged(report.warnings for report in driver.reports)
    record.write(
        "incomplete" if set_aside else "done",
        **task.described(),
        **task.counted(result),
        n_shards_scored=len(driver.reports),
        n_shards_set_aside=len(set_aside),
        warnings={kind: asdict(warned) for kind, warned in warnings.items()},
        workers=driver.describe_workers(),
        timings={
            "start": round(began_shards - record.began, 3),
            "scoring": round(done - began_shards, 3),
            "reduce": round(ended - done, 3),
        },
    )
    return Outcome(result, len(set_aside), warnings)
