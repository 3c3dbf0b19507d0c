"""Handing out the work: encoders loaded, references encoded, shards scored.

The driver hears of counts and never sees an image. A worker asks for nothing: whenever a call to it
ends, the driver gives it the next piece, so the fastest worker gets the most shards. It has two at
a time, one that is scored and one that is opened meanwhile.

A worker that dies is replaced, and its shards are given out again, each alone, so that the next
death is nobody else's fault and counts; a shard that fails too often is set aside. What dies with
its node is no shard's fault. References whose tokens were on that node are encoded again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray.exceptions import ObjectLostError, RayError, RayTaskError

from jobs.pipeline.cluster.layout import Layout
from jobs.pipeline.cluster.progress import Progress
from jobs.pipeline.cluster.shard_queue import ShardQueue
from jobs.pipeline.cluster.stopping import Stop
from jobs.pipeline.cluster.worker import Place, start_worker
from jobs.pipeline.cluster.worker_handle import WorkerHandle
from jobs.pipeline.errors import CallError, CommitError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.reports import Counts, ShardReport
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.scoring.plan import Plan
from jobs.pipeline.scoring.reference_index import ReferenceEntry, ReferenceIndex
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import reason_of

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
SHARDS_AT_ONCE = 2
WAITING_SECONDS = 30.0
"""After this long without a worker, say what is being waited for."""

START_SECONDS = 60.0
"""For so long at least workers may fail to start: that a node is lost shows after some 10 s, and
until then Ray gives it new workers."""

LONGEST_START_PAUSE = 10.0

GROW_SECONDS = 10.0
"""How often to see whether the cluster has room for more workers."""


class Incomplete(Exception):
    """The run cannot go on now; the same call may, later. The message says why."""


@dataclass(frozen=True)
class Call:
    """A call to a worker that has not ended."""

    hand: WorkerHandle
    finish: Callable[[WorkerHandle, Any], None]
    retry: Callable[[str, bool], None]
    """Told, when the call fails for another cause than the configuration, the reason, and whether
    the fault can be its own."""
    is_start: bool = False
    """Without it the worker is of no use, so it is replaced when this fails."""


class Driver:
    """Scores shards on a cluster that was joined."""

    def __init__(
        self,
        plan: Plan,
        layout: Layout,
        run: RunDirectory,
        shards: list[Shard],
        references: list[str],
        progress: Progress,
        start_worker: Callable[[Layout], Any] = start_worker,
        stop: Stop | None = None,
        room: Callable[[], int] | None = None,
    ) -> None:
        """Nothing starts before `score_all`.

        Args:
            start_worker: makes an actor.
            stop: asks for an early end.
            room: how many workers the cluster could hold now; None keeps to the layout's number.
        """
        self._plan = plan
        self._layout = layout
        self._run = run
        self._progress = progress
        self._new_actor = start_worker
        self._stop = stop or Stop(0.0)
        self._room = room
        self._grown = time.monotonic()
        """When `room` was last asked, by the monotonic clock."""
        self._shards = ShardQueue(shards, plan.config.limits.max_shard_attempts)
        self._references_in_order = references
        self._reference_urls = deque(references)
        """Those that wait for a worker."""
        self._n_encoding = len(references)
        self._entries: dict[str, list[ReferenceEntry]] = {}
        """By the URL of their shard."""
        self._tokens: dict[str, Any] = {}
        """Ray's reference to the patch tokens of a reference shard, by URL."""
        self._references: Any = None
        self._homes: dict[str, Any] = {}
        """In which object a reference's tokens are, by the reference's key."""
        self._calls: dict[Any, Call] = {}
        self._attempts: Counter[str] = Counter()
        """At reference shards, by URL."""
        self._failed_starts: list[float] = []
        """When workers failed to start since one last did, by the monotonic clock."""
        self._starts: list[float] = []
        """When workers are to be started, by the monotonic clock."""
        self.hands: list[WorkerHandle] = []
        self.reports: list[ShardReport] = []
        self._committed = Counts()
        """Rows of all reports."""
        self._shown = 0.0
        """When progress was last redacted, by the monotonic clock."""
        self.began_scoring: float | None = None
        """When the first shard was given out, by the monotonic clock."""

    def score_all(self) -> None:
        """Score every shard, or set it aside.

        Raises:
            CallError: the encoder or the references cannot be used.
            Incomplete: the workers keep dying before they can score, parts cannot be written, or
                the end was asked for.
        """
        self._stop.is_heeded = True
        for _ in range(self._layout.count):
            self._start_worker()
        waited = 0.0
        while self._is_work_left():
            ended = self._wait()
            for reference in ended:
                self._end(reference)
            if not any(hand.place for hand in self.hands):
                waited += 0.0 if ended else POLL_SECONDS
                if waited >= WAITING_SECONDS:
                    waited = 0.0
                    log.info("waiting for a worker to start: each asks for %s", self._needs())
            self._rouse()
            self._show_progress()
        # Whoever is still starting comes too late.
        for hand in self.hands:
            ray.kill(hand.actor)
        self._stop.is_heeded = False
        begun = sum(len(hand.shards) for hand in self.hands)
        if self._stop.reason and (begun or self._shards):
            raise Incomplete(
                f"{self._stop.reason}: stopped with {len(self._shards) + begun} shards to do, "
                f"{begun} of them begun"
            )

    @property
    def set_aside(self) -> list[Shard]:
        """The shards that failed too often."""
        return self._shards.set_aside

    def _wait(self) -> list[Any]:
        """The calls that have ended by now; waits for one, but not for long."""
        if not self._calls:
            time.sleep(POLL_SECONDS)
            return []
        return ray.wait(list(self._calls), timeout=POLL_SECONDS)[0]

    def _is_work_left(self) -> bool:
        is_any_begun = any(hand.shards for hand in self.hands)
        if self._stop.reason:
            return is_any_begun and time.monotonic() < self._stop.by
        return bool(self._shards or self._n_encoding or is_any_begun)

    def _needs(self) -> str:
        gpus = f"{self._layout.gpus:g} GPU, " if self._layout.gpus else ""
        free = ray.available_resources()
        return (
            f"{gpus}{self._layout.cpus} CPU; free in the cluster: "
            f"{free.get('GPU', 0):g} GPU, {free.get('CPU', 0):g} CPU"
        )

    def workers(self) -> list[dict[str, Any]]:
        """Where each worker ran, how much it scored, and where its seconds went."""
        return [hand.describe() for hand in self.hands if hand.place]

    # What a worker does next

    def _start_worker(self) -> None:
        hand = WorkerHandle(self._new_actor(self._layout))
        self.hands.append(hand)
        loaded = hand.actor.load.remote(self._plan)
        self._calls[loaded] = Call(hand, self._loaded, self._start_failed, is_start=True)

    def _give_work(self, hand: WorkerHandle) -> None:
        if self._stop.reason:
            return
        if self._reference_urls:
            url = self._reference_urls.popleft()
            index, tokens = hand.actor.encode_references.options(num_returns=2).remote(url)
            finish = partial(self._encoded, url, tokens)
            self._calls[index] = Call(hand, finish, partial(self._encoding_failed, url))
        elif self._n_encoding:
            pass  # `_rouse` will come back to it
        elif not self._shards:
            if not hand.shards:
                # Gives its device back at once, for others on the cluster.
                hand.is_released = True
                ray.kill(hand.actor)
        elif not hand.has_references:
            taken = hand.actor.use_references.remote(self._references, self._homes)
            self._calls[taken] = Call(hand, self._ready, self._start_failed, is_start=True)
        else:
            self._give_shards(hand)

    def _give_shards(self, hand: WorkerHandle) -> None:
        """Fill the worker's hands, but leave the last shards to those that have none."""
        while not hand.is_alone and len(hand.shards) < SHARDS_AT_ONCE:
            shard = self._shards.first()
            if shard is None:
                return
            is_suspect = self._shards.is_suspect(shard)
            if hand.shards and (is_suspect or len(self._shards) < len(self.hands)):
                return
            self._shards.take()
            hand.is_alone = is_suspect
            hand.shards[shard.id] = shard
            self.began_scoring = self.began_scoring or time.monotonic()
            report = hand.actor.score_shard.remote(shard)
            failed = partial(self._shard_failed, hand, shard)
            self._calls[report] = Call(hand, self._scored, failed)

    def _rouse(self) -> None:
        """Come back to workers that found nothing to do, and let new nodes help."""
        busy = {id(call.hand) for call in self._calls.values()}
        for hand in self.hands:
            if hand.place and not hand.is_released and id(hand) not in busy:
                self._give_work(hand)
        if self._stop.reason:
            return
        now = time.monotonic()
        if self._room and now - self._grown >= GROW_SECONDS:
            self._grown = now
            present = len(self.hands) + len(self._starts)
            for _ in range(present, min(self._room(), len(self._shards))):
                log.info("the cluster has room for another worker")
                self._starts.append(now)
        for due in [due for due in self._starts if due <= now]:
            self._starts.remove(due)
            self._start_worker()

    # What happens when a call ends

    def _end(self, reference: Any) -> None:
        call = self._calls.pop(reference)
        try:
            answer = ray.get(reference)
        except RayTaskError as error:
            if isinstance(error.cause, CallError):
                raise error.cause from error
            if isinstance(error.cause, CommitError):
                # So would the next one; nothing that was scored meanwhile could be kept.
                raise Incomplete(str(error.cause)) from error
            is_lost = isinstance(error.cause, ObjectLostError)
            if is_lost:
                self._encode_again(error.cause)
            call.retry(reason_of(error.cause), not is_lost)
            if call.is_start:
                self._replace(call.hand)
            else:
                self._give_work(call.hand)
        except RayError as error:
            self._died(call, reason_of(error))
        else:
            call.finish(call.hand, answer)

    def _died(self, call: Call, reason: str) -> None:
        """The worker is gone, and with it every call to it: each comes here."""
        hand = call.hand
        is_node_gone = hand.is_node_gone()
        if hand in self.hands and not is_node_gone:
            hand.died_with = len(hand.shards)
        # Which of two killed it is not known; they will be tried alone.
        call.retry(reason, not is_node_gone and hand.died_with < 2)
        self._replace(hand)

    def _replace(self, hand: WorkerHandle) -> None:
        if hand not in self.hands:
            return  # a second call to it ended with it
        ray.kill(hand.actor)
        self.hands.remove(hand)
        if self._is_work_left() and not self._stop.reason:
            failed = len(self._failed_starts)
            pause = min(2.0**failed, LONGEST_START_PAUSE) if failed else 0.0
            self._starts.append(time.monotonic() + pause)

    def _loaded(self, hand: WorkerHandle, place: Place) -> None:
        hand.place = place
        self._give_work(hand)

    def _ready(self, hand: WorkerHandle, _: None) -> None:
        hand.has_references = True
        self._failed_starts.clear()
        self._give_work(hand)

    def _start_failed(self, reason: str, counts: bool) -> None:
        now = time.monotonic()
        if counts:
            self._failed_starts.append(now)
            are_many = len(self._failed_starts) >= self._plan.config.limits.max_shard_attempts
            if are_many and now - self._failed_starts[0] >= START_SECONDS:
                raise Incomplete(f"workers do not start: {reason}")
        log.warning("a worker did not start, will be tried again: %s", reason)

    def _encoded(
        self, url: str, tokens: Any, hand: WorkerHandle, entries: list[ReferenceEntry]
    ) -> None:
        self._entries[url] = entries
        self._tokens[url] = tokens
        self._n_encoding -= 1
        if not self._n_encoding:
            self._share_references()
        self._give_work(hand)

    def _share_references(self) -> None:
        if self._references is None:
            # Not in the order in which they were encoded, which chance decides.
            index = ReferenceIndex(
                entry for url in self._references_in_order for entry in self._entries[url]
            )
            for entry in index.by_key.values():
                if entry.error:
                    log.warning("reference %s in %s: %s", entry.key, entry.shard, entry.error)
            self._references = ray.put(index)
        self._homes = {
            entry.key: self._tokens[url] for url, own in self._entries.items() for entry in own
        }

    def _encode_again(self, error: ObjectLostError) -> None:
        """The tokens of a reference shard were on a node that is gone."""
        lost = [url for url, each in self._tokens.items() if each.hex() == error.object_ref_hex]
        for url in lost:
            log.warning("references %s were lost with a node", redact(url))
            del self._tokens[url]
            self._reference_urls.append(url)
            self._n_encoding += 1
            for hand in self.hands:
                hand.has_references = False

    def _encoding_failed(self, url: str, reason: str, counts: bool) -> None:
        redacted = redact(url)
        self._attempts[url] += counts
        if self._attempts[url] >= self._plan.config.limits.max_shard_attempts:
            raise CallError(f"references={redacted}: cannot be read: {reason}")
        log.warning("reference shard %s failed, will be tried again: %s", redacted, reason)
        self._reference_urls.append(url)

    def _scored(self, hand: WorkerHandle, report: ShardReport) -> None:
        hand.reports.append(report)
        hand.put_down(report.shard_id)
        self.reports.append(report)
        self._committed = self._committed + report.counts
        if report.first_error:
            log.warning(
                "%s: %d samples could not be scored, the first: %s",
                report.shard_id,
                report.counts.error,
                report.first_error,
            )
        self._give_work(hand)

    def _shard_failed(self, hand: WorkerHandle, shard: Shard, reason: str, counts: bool) -> None:
        redacted = redact(shard.url)
        hand.put_down(shard.id)
        if not counts:
            log.warning("shard %s is given out again: %s", redacted, reason)
            self._shards.put_back(shard, is_suspect=hand.died_with > 1)
        elif self._shards.failed(shard):
            log.warning("shard %s failed, will be tried again: %s", redacted, reason)
        else:
            log.error("shard %s is set aside: %s", redacted, reason)
            self._run.set_aside(shard, self._shards.attempts(shard), reason)

    # What is redacted meanwhile

    def _show_progress(self) -> None:
        if time.monotonic() - self._shown < POLL_SECONDS:
            return  # shards may end far more often
        self._shown = time.monotonic()
        at_work = [hand for hand in self.hands if hand.has_references and not hand.is_released]
        for hand in at_work:
            if hand.progress is not None and ray.wait([hand.progress], timeout=0)[0]:
                with suppress(RayError):  # the worker died; its call says so
                    counts: dict[str, Counts] = ray.get(hand.progress)
                    # An answer may be late: what has ended by now is counted already.
                    hand.counts = {i: counts[i] for i in hand.shards if i in counts}
                hand.progress = None
            if hand.progress is None:
                hand.progress = hand.actor.progress.remote()
        at_hand = sum((c for hand in at_work for c in hand.counts.values()), Counts())
        self._progress.show(
            len(self.reports) + len(self.set_aside),
            self._committed + at_hand,
            len(at_work),
        )
