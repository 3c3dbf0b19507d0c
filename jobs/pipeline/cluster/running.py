"""A whole run of a shard job: who has it, what is left of it, Ray, the driver, and the record."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from jobs.pipeline.cluster.config import LimitsConfig, RayConfig, WorkersConfig
from jobs.pipeline.cluster.enough import Enough
from jobs.pipeline.cluster.joining import joined_cluster
from jobs.pipeline.cluster.layout import alive_nodes, layout_of_cluster, require_possible
from jobs.pipeline.cluster.passes import Drive, Pass
from jobs.pipeline.cluster.stopping import Stop
from jobs.pipeline.command.messages import messages_about
from jobs.pipeline.errors import CallError, Incomplete, StorageError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.early import EARLY
from jobs.pipeline.run.lease import Lease
from jobs.pipeline.run.record import RunRecord
from jobs.pipeline.run.reports import Warned
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.redaction import redact

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Task(Protocol[Result]):
    """Shard jobs over the same shards, and what it means to them that a run is begun, gone on with
    and done."""

    verb: str
    """What is done to shards, for the progress."""
    participle: str
    """What becomes of a shard, as in `scored`."""
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

    def passes(self) -> Sequence[Pass]:
        """What is done to the shards, one after the other; at least one, once it is known what is
        to do."""

    def is_begun(self, shards: Sequence[Shard]) -> bool:
        """Whether one of these shards, which are to do, is done in part."""

    def described(self) -> Mapping[str, Any]:
        """What `run.json` says of it, as far as it is known by now."""

    def described_inputs(self) -> Mapping[str, Any]:
        """Of that, what is said of the inputs."""

    def finish(self, run: RunDirectory, is_on_cluster: bool) -> Result:
        """What all shards come to.

        Args:
            is_on_cluster: whether there are machines beside this one that could add it up.

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
    n_not_needed: int = 0
    """Shards that were not done since what is there is enough."""
    warnings: Mapping[str, Warned] = field(default_factory=dict)
    """What was suspicious of the shards that this call did, by its kind."""

    @property
    def is_incomplete(self) -> bool:
        """Whether the same call, made again, may do more."""
        return bool(self.n_set_aside or self.n_left)


def run_shard_job(
    task: Task[Result],
    run: RunDirectory,
    workers: WorkersConfig,
    ray: RayConfig,
    limits: LimitsConfig,
    enough: Enough | None = None,
) -> Outcome[Result]:
    """Do a task's shards, or go on with them where an earlier call stopped.

    Args:
        enough: says when no more of the shards are needed; None asks for all.

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
            if enough is not None and _is_enough(task, to_do, enough):
                return _early(task, run, record, enough, len(to_do))
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
                    if enough is not None and _is_enough(task, to_do, enough):
                        return _early(task, run, record, enough, len(to_do))
                drive = Drive(
                    *(run, task.verb, workers, limits, stop, lease, enough, task.is_begun),
                    tell_incomplete=lambda: record.write("incomplete", **task.described()),
                )
                return _driven(task, run, to_do, record, drive)
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


def _is_enough(task: Task[Result], to_do: Sequence[Shard], enough: Enough) -> bool:
    """Whether what is done is done in whole, and no more is needed."""
    return enough.is_enough() and not task.is_begun(to_do)


def _early(
    task: Task[Result],
    run: RunDirectory,
    record: RunRecord,
    enough: Enough,
    n_not_done: int,
    n_set_aside: int = 0,
    is_on_cluster: bool = False,
    **more: Any,
) -> Outcome[Result]:
    """What is there is enough. The record comes first: of it the result reads what it rests on."""
    record.write(EARLY, **task.described(), **enough.described(n_not_done), **more)
    result = task.finish(run, is_on_cluster)
    record.write(EARLY, **task.counted(result))
    return Outcome(result, n_set_aside, n_not_needed=n_not_done)


def _finished(task: Task[Result], run: RunDirectory, record: RunRecord) -> Outcome[Result]:
    """Every shard that can be was done before."""
    _tell_of_left(task)
    if (run.read_description() or {}).get("state") == EARLY:
        record.write("running", **task.described())  # it is whole now, and its result is to say so
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
    record: RunRecord,
    drive: Drive,
) -> Outcome[Result]:
    """Do the shards on the cluster that was joined."""
    passes, enough = task.passes(), drive.enough
    record.write("running", **task.described())
    passed = drive.do_all(passes, to_do)
    done = time.monotonic()
    # Some worker may have committed what was set aside; and one of a driver that is dead may have
    # written over what this one's did.
    undone = task.still_to_do(run, to_do)
    failed = passed.set_aside()
    set_aside = [shard for shard in undone if shard.id in failed]
    is_enough = passed.is_enough and bool(undone)
    # On the only machine that there is another process would take seconds to start.
    is_among_others = len(alive_nodes()) > 1
    if len(undone) > len(set_aside) and not is_enough:
        raise Incomplete(f"{len(undone) - len(set_aside)} parts were written over by another call")
    done_by_drivers = passed.described(len(passes))
    if is_enough and enough is not None:
        # What the first pass set aside was not needed; what is scored has its further columns.
        late = passed.set_aside(since=2) & {shard.id for shard in undone}
        return _early(
            *(task, run, record, enough, len(undone) - len(late), len(late)),
            is_on_cluster=is_among_others,
            **done_by_drivers,
        )
    done_by_drivers["n_shards_set_aside"] = len(set_aside)
    _tell_of_left(task)
    result = task.finish(run, is_among_others)
    ended = time.monotonic()
    began_shards = passed.began_shards or done
    record.write(
        "incomplete" if set_aside or task.left else "done",
        **task.described(),
        **task.counted(result),
        **done_by_drivers,
        **(enough.described(0) if enough is not None else {}),
        timings={
            "start": round(began_shards - record.began, 3),
            "scoring": round(done - began_shards, 3),
            "reduce": round(ended - done, 3),
        },
    )
    return Outcome(result, len(set_aside), len(task.left), warnings=passed.warnings)
