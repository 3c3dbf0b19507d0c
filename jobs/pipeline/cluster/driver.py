"""Handing out the work: workers started, inputs read, shards done.

The driver hears of counts and never sees a sample. A worker asks for nothing: whenever a call to it
ends, the driver gives it the next piece, so the fastest worker gets the most shards. It has two at
a time, one that is done and one that is opened meanwhile.

A worker that dies is replaced, and its shards are given out again, each alone, so that the next
death is nobody else's fault and counts; a shard that fails too often is set aside. What dies with
its node is no shard's fault. Inputs whose stored part was on that node are read again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ray
from ray.exceptions import ObjectLostError, RayError, RayTaskError

from jobs.pipeline.cluster.first_phase import FirstPhase
from jobs.pipeline.cluster.layout import Layout
from jobs.pipeline.cluster.shard_job import Resources, ShardJob
from jobs.pipeline.cluster.shard_queue import ShardQueue
from jobs.pipeline.cluster.standing import Standing, Watcher
from jobs.pipeline.cluster.stopping import Stop
from jobs.pipeline.cluster.worker import Place, start_worker
from jobs.pipeline.cluster.worker_handle import Call, WorkerHandle
from jobs.pipeline.errors import CallError, CommitError, Incomplete
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.reports import RowCounts, ShardReport, fewest_kinds
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import reason_of

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
SHARDS_AT_ONCE = 2
WAITING_SECONDS = 30.0
"""After this long without a worker, say what is being waited for."""

START_SECONDS = 60.0
"""Give up only after workers have failed to start for this long: that a node is lost shows after
some 10 s, and until then Ray gives it new workers."""

LONGEST_START_PAUSE = 10.0

GROW_SECONDS = 10.0
"""How often to see whether the cluster has capacity for more workers."""


class Driver:
    """Does a job on a cluster that was joined."""

    def __init__(
        self,
        job: ShardJob,
        layout: Layout,
        run: RunDirectory,
        shards: Sequence[Shard],
        max_attempts: int,
        watchers: Sequence[Watcher],
        start_worker: Callable[[Layout], Any] = start_worker,
        release: Callable[[Any], None] = ray.kill,
        stop: Stop | None = None,
        capacity: Callable[[], int] | None = None,
    ) -> None:
        """Nothing starts before `do_all`.

        Args:
            run: where shards that are set aside are noted.
            max_attempts: at a shard or an input.
            watchers: are told once a second how far it is.
            start_worker: makes an actor.
            release: is given one that has nothing left to do.
            stop: asks for an early end.
            capacity: how many workers the cluster could hold now; None keeps to the layout's
                number.
        """
        self._job = job
        self._layout = layout
        self._resources = Resources(layout.cpus, layout.batch_size)
        self._run = run
        self._max_attempts = max_attempts
        self._watchers = watchers
        self._new_actor = start_worker
        self._release_actor = release
        self._stop = stop or Stop(0.0)
        self._capacity = capacity
        self._capacity_asked = time.monotonic()
        """When `capacity` was last asked, by the monotonic clock."""
        self._shards = ShardQueue(shards, max_attempts)
        self._inputs = FirstPhase(job, max_attempts)
        self._calls: dict[Any, Call] = {}
        self._failed_starts: list[float] = []
        """When workers failed to start since one last did, by the monotonic clock."""
        self._starts: list[float] = []
        """When workers are to be started, by the monotonic clock."""
        self.workers: list[WorkerHandle] = []
        self.reports: list[ShardReport] = []
        self._committed = RowCounts()
        """Rows of all reports."""
        self.errors = Counter[str]()
        """Samples that could not be done, by kind, of all reports."""
        self._shown = 0.0
        """When progress was last shown, by the monotonic clock."""
        self.began_shards: float | None = None
        """When the first shard was given out, by the monotonic clock."""

    def do_all(self) -> None:
        """Do every shard, or set it aside.

        Raises:
            CallError: what the job needs cannot be loaded, or its inputs cannot be used.
            Incomplete: the workers keep dying before they are ready, parts cannot be written, or
                the end was asked for.
        """
        self._stop.is_heeded = True
        for _ in range(self._layout.count):
            self._start_worker()
        waited = 0.0
        while self._is_work_left():
            ended = self._wait()
            for object_ref in ended:
                self._end(object_ref)
            if not any(worker.place for worker in self.workers):
                waited += 0.0 if ended else POLL_SECONDS
                if waited >= WAITING_SECONDS:
                    waited = 0.0
                    log.info("waiting for a worker to start: each asks for %s", self._needs())
            self._assign_idle_workers()
            self._scale_up()
            self._show_progress()
        self._show_progress(is_last=True)
        # Whoever is still starting comes too late.
        for worker in self.workers:
            if not worker.is_released:
                ray.kill(worker.actor)
        self._inputs.forget()
        self._stop.is_heeded = False
        begun = sum(len(worker.shards) for worker in self.workers)
        if self._stop.reason and (begun or self._shards):
            raise Incomplete(
                f"{self._stop.reason}: stopped with {len(self._shards) + begun} shards to do, "
                f"{begun} of them begun"
            )

    def begin_no_more(self) -> None:
        """Be done when the shards that were begun are."""
        self._shards.drop()

    @property
    def set_aside(self) -> list[Shard]:
        """The shards that failed too often."""
        return self._shards.set_aside

    def describe_workers(self) -> list[dict[str, Any]]:
        """Where each worker ran, how much it did, and where its seconds went."""
        return [worker.describe() for worker in self.workers if worker.place]

    def _wait(self) -> list[Any]:
        """The calls that have ended by now; waits for one, but not for long."""
        if not self._calls:
            time.sleep(POLL_SECONDS)
            return []
        return ray.wait(list(self._calls), timeout=POLL_SECONDS)[0]

    def _is_work_left(self) -> bool:
        is_any_begun = any(worker.shards for worker in self.workers)
        if self._stop.reason:
            return is_any_begun and time.monotonic() < self._stop.by
        return bool(self._shards or is_any_begun or not self._inputs.is_over)

    def _needs(self) -> str:
        gpus = f"{self._layout.gpus:g} GPU, " if self._layout.gpus else ""
        free = ray.available_resources()
        return (
            f"{gpus}{self._layout.cpus} CPU; free in the cluster: "
            f"{free.get('GPU', 0):g} GPU, {free.get('CPU', 0):g} CPU"
        )

    # What a worker does next

    def _start_worker(self) -> None:
        worker = WorkerHandle(self._new_actor(self._layout))
        self.workers.append(worker)
        loaded = worker.actor.load.remote(self._job.load, self._resources)
        self._calls[loaded] = Call(worker, self._loaded, self._start_failed, is_start=True)

    def _give_work(self, worker: WorkerHandle) -> None:
        if self._stop.reason:
            return
        number = self._inputs.take()
        if number is not None:
            url = self._inputs.url(number)
            answer, stored = worker.actor.read_input.options(num_returns=2).remote(url)
            finish = partial(self._input_read, number, stored)
            self._calls[answer] = Call(worker, finish, partial(self._inputs.failed, number))
        elif not self._inputs.is_over:
            pass  # `_assign_idle_workers` will come back to it
        elif not self._shards:
            if not worker.shards:
                self._release(worker)
        elif not worker.is_ready:
            taken = worker.actor.share.remote(*self._inputs.to_share())
            self._calls[taken] = Call(worker, self._ready, self._start_failed, is_start=True)
        else:
            self._give_shards(worker)

    def _release(self, worker: WorkerHandle) -> None:
        """Gives its device back at once, for others on the cluster, or for the next job; but one
        on which something has failed is not to be met again."""
        worker.is_released = True
        (ray.kill if worker.has_failed else self._release_actor)(worker.actor)

    def _give_shards(self, worker: WorkerHandle) -> None:
        """Give it as many as it may have, but leave the last shards to those that have none."""
        while not worker.is_alone and len(worker.shards) < SHARDS_AT_ONCE:
            shard = self._shards.first()
            if shard is None:
                return
            is_suspect = self._shards.is_suspect(shard)
            if worker.shards and (is_suspect or len(self._shards) < len(self.workers)):
                return
            self._shards.take()
            worker.is_alone = is_suspect
            worker.shards[shard.id] = shard
            self.began_shards = self.began_shards or time.monotonic()
            report = worker.actor.process.remote(shard)
            failed = partial(self._shard_failed, worker, shard)
            self._calls[report] = Call(worker, self._shard_done, failed)

    def _assign_idle_workers(self) -> None:
        """Come back to workers that found nothing to do."""
        busy = {id(call.worker) for call in self._calls.values()}
        for worker in self.workers:
            if worker.place and not worker.is_released and id(worker) not in busy:
                self._give_work(worker)

    def _scale_up(self) -> None:
        """Start the workers that are due, and let new nodes help."""
        if self._stop.reason:
            return
        now = time.monotonic()
        if self._capacity and now - self._capacity_asked >= GROW_SECONDS:
            self._capacity_asked = now
            present = len(self.workers) + len(self._starts)
            for _ in range(present, min(self._capacity(), len(self._shards))):
                log.info("the cluster has room for another worker")
                self._starts.append(now)
        for due in [due for due in self._starts if due <= now]:
            self._starts.remove(due)
            self._start_worker()

    # What happens when a call ends

    def _end(self, object_ref: Any) -> None:
        call = self._calls.pop(object_ref)
        try:
            answer = ray.get(object_ref)
        except RayTaskError as error:
            if isinstance(error.cause, CallError):
                raise error.cause from error
            if isinstance(error.cause, CommitError):
                # So would the next one; nothing that was done meanwhile could be kept.
                raise Incomplete(str(error.cause)) from error
            is_lost = isinstance(error.cause, ObjectLostError)
            if is_lost:
                self._read_again(error.cause)
                # Also where they were read again already: this worker was told of them before that.
                call.worker.is_ready = False
            call.worker.has_failed = True
            call.retry(reason_of(error.cause), not is_lost)
            if call.is_start:
                self._replace(call.worker)
            else:
                self._give_work(call.worker)
        except RayError as error:
            self._died(call, reason_of(error))
        else:
            call.finish(call.worker, answer)

    def _died(self, call: Call, reason: str) -> None:
        """The worker is gone, and with it every call to it: each comes here."""
        worker = call.worker
        is_node_gone = worker.is_node_gone()
        if worker in self.workers and not is_node_gone:
            worker.died_with = len(worker.shards)
        # Which of two killed it is not known; they will be tried alone.
        call.retry(reason, not is_node_gone and worker.died_with < 2)
        self._replace(worker)

    def _replace(self, worker: WorkerHandle) -> None:
        if worker not in self.workers:
            return  # a second call to it ended with it
        ray.kill(worker.actor)
        self.workers.remove(worker)
        if self._is_work_left() and not self._stop.reason:
            failed = len(self._failed_starts)
            pause = min(2.0**failed, LONGEST_START_PAUSE) if failed else 0.0
            self._starts.append(time.monotonic() + pause)

    def _loaded(self, worker: WorkerHandle, place: Place) -> None:
        worker.place = place
        self._give_work(worker)

    def _ready(self, worker: WorkerHandle, _: None) -> None:
        worker.is_ready = True
        self._failed_starts.clear()
        self._give_work(worker)

    def _start_failed(self, reason: str, is_own_fault: bool) -> None:
        now = time.monotonic()
        if is_own_fault:
            self._failed_starts.append(now)
            are_many = len(self._failed_starts) >= self._max_attempts
            if are_many and now - self._failed_starts[0] >= START_SECONDS:
                raise Incomplete(f"workers do not start: {reason}")
        log.warning("a worker did not start, will be tried again: %s", reason)

    def _input_read(self, number: int, stored: Any, worker: WorkerHandle, answer: Any) -> None:
        self._inputs.answered(number, answer, stored)
        self._give_work(worker)

    def _read_again(self, error: ObjectLostError) -> None:
        self._inputs.lost(error)
        if not self._inputs.is_over:
            for worker in self.workers:
                worker.is_ready = False

    def _shard_done(self, worker: WorkerHandle, report: ShardReport) -> None:
        worker.reports.append(report)
        worker.release(report.shard_id)
        self.reports.append(report)
        self._committed = self._committed + report.counts
        self.errors.update(report.errors)
        if report.first_error:
            key, reason = report.first_error
            log.warning(
                "%s: %d samples could not be %s, the first: %s: %s",
                *(report.shard_id, report.counts.error, self._job.participle, key, reason),
                extra={"shard": report.shard_id, "key": key},
            )
        self._give_work(worker)

    def _shard_failed(
        self, worker: WorkerHandle, shard: Shard, reason: str, is_own_fault: bool
    ) -> None:
        redacted, about = redact(shard.url), {"shard": shard.id}
        worker.release(shard.id)
        if not is_own_fault:
            log.warning("shard %s is given out again: %s", redacted, reason, extra=about)
            self._shards.put_back(shard, is_suspect=worker.died_with > 1)
        elif self._shards.failed(shard):
            log.warning("shard %s failed, will be tried again: %s", redacted, reason, extra=about)
        else:
            log.error("shard %s is set aside: %s", redacted, reason, extra=about)
            self._run.set_aside(shard, self._shards.attempts(shard), reason)

    # What is shown meanwhile

    def _show_progress(self, is_last: bool = False) -> None:
        if not is_last and time.monotonic() - self._shown < POLL_SECONDS:
            return  # shards may end far more often
        self._shown = time.monotonic()
        for worker in self._at_work():
            worker.ask_for_progress()
        standing = self._standing()
        for watcher in self._watchers:
            watcher.show(standing)

    def _at_work(self) -> list[WorkerHandle]:
        return [worker for worker in self.workers if worker.is_ready and not worker.is_released]

    def _standing(self) -> Standing:
        at_work = self._at_work()
        at_hand = sum((c for worker in at_work for c in worker.counts.values()), RowCounts())
        ended = [worker for worker in self.workers if worker.is_released]
        return Standing(
            n_shards_done=len(self.reports) + len(self.set_aside),
            n_shards_set_aside=len(self.set_aside),
            n_shards_begun=sum(len(worker.shards) for worker in at_work),
            counts=self._committed + at_hand,
            errors=fewest_kinds(self.errors),
            n_starting=len(self.workers) - len(ended) - len(at_work) + len(self._starts),
            workers=at_work,
            ended=ended,
        )
