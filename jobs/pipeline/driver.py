"""Handing out the work: encoders loaded, references encoded, shards scored.

The driver hears of counts and never sees an image. A worker asks for nothing: whenever a call to it
ends, the driver gives it the next piece, so the fastest worker gets the most shards. It has two at
a time, one that is scored and one that is opened meanwhile. A worker that dies is replaced and its
shards given out again, each alone, so that the next death is nobody else's fault; a shard that
fails too often is set aside.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from jobs.pipeline.cluster import Layout
from jobs.pipeline.command_line import CallError
from jobs.pipeline.plan import Counts, Plan, ShardReport, Timings
from jobs.pipeline.progress import Progress
from jobs.pipeline.reference_index import ReferenceEntry, ReferenceIndex
from jobs.pipeline.run_directory import RunDirectory, Shard
from jobs.pipeline.storage import without_credentials
from jobs.pipeline.worker import Place, start_worker

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
SHARDS_AT_ONCE = 2
WAITING_SECONDS = 30.0
"""After this long without a worker, say what is being waited for."""


class Incomplete(Exception):
    """The run cannot go on now; the same call may, later. The message says why."""


@dataclass
class Hand:
    """A worker as the driver knows it."""

    actor: Any
    place: Place | None = None
    has_references: bool = False
    progress: Any = None
    """The answer awaited to the last question for its progress."""
    shards: dict[str, Shard] = field(default_factory=dict)
    """What it was given and has not answered, by id."""
    is_alone: bool = False
    """It has a shard that failed before, and gets no second one beside it."""
    counts: dict[str, Counts] = field(default_factory=dict)
    """Rows so far of the shards at hand, by id."""
    reports: list[ShardReport] = field(default_factory=list)
    """The shards that it committed."""


@dataclass(frozen=True)
class Call:
    """A call to a worker that has not ended."""

    hand: Hand
    finish: Callable[[Hand, Any], None]
    retry: Callable[[str], None]
    """Told the reason when the call fails for another cause than the configuration."""
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
    ) -> None:
        """Nothing starts before `score_all`; `start_worker` makes an actor."""
        self._plan = plan
        self._layout = layout
        self._run = run
        self._progress = progress
        self._new_actor = start_worker
        self._shards = deque(shards)
        self._reference_urls = deque(references)
        self._n_encoding = len(references)
        self._entries: list[ReferenceEntry] = []
        self._homes: dict[str, Any] = {}
        self._references: Any = None
        self._calls: dict[Any, Call] = {}
        self._idle: list[Hand] = []
        self._attempts: Counter[str] = Counter()
        self.hands: list[Hand] = []
        self.reports: list[ShardReport] = []
        self._committed = Counts()
        """Rows of all reports."""
        self._shown = 0.0
        """When progress was last shown, by the monotonic clock."""
        self.set_aside: list[Shard] = []
        self.began_scoring: float | None = None
        """When the first shard was given out, by the monotonic clock."""

    def score_all(self) -> None:
        """Score every shard, or set it aside.

        Raises:
            CallError: the encoder or the references cannot be used.
            Incomplete: the workers keep dying before they can score.
        """
        for _ in range(self._layout.count):
            self._start_worker()
        waited = 0.0
        while self._is_work_left():
            ended, _ = ray.wait(list(self._calls), timeout=POLL_SECONDS)
            for reference in ended:
                self._end(reference)
            if not any(hand.place for hand in self.hands):
                waited += 0.0 if ended else POLL_SECONDS
                if waited >= WAITING_SECONDS:
                    waited = 0.0
                    log.info("waiting for a worker to start: each asks for %s", self._needs())
            self._show_progress()
        # Whoever is still starting comes too late.
        for hand in self.hands:
            ray.kill(hand.actor)

    def _is_work_left(self) -> bool:
        return bool(self._shards or self._n_encoding or any(hand.shards for hand in self.hands))

    def _needs(self) -> str:
        gpus = f"{self._layout.gpus:g} GPU, " if self._layout.gpus else ""
        free = ray.available_resources()
        return (
            f"{gpus}{self._layout.cpus} CPU; free in the cluster: "
            f"{free.get('GPU', 0):g} GPU, {free.get('CPU', 0):g} CPU"
        )

    def workers(self) -> list[dict[str, Any]]:
        """Where each worker ran, how much it scored, and where its seconds went."""
        return [
            {
                **asdict(hand.place),
                "shards": len(hand.reports),
                "samples": sum(report.counts.total for report in hand.reports),
                **_seconds([report.timings for report in hand.reports]),
            }
            for hand in self.hands
            if hand.place
        ]

    # What a worker does next

    def _start_worker(self) -> None:
        hand = Hand(self._new_actor(self._layout))
        self.hands.append(hand)
        loaded = hand.actor.load.remote(self._plan)
        self._calls[loaded] = Call(hand, self._loaded, self._start_failed, is_start=True)

    def _give_work(self, hand: Hand) -> None:
        if self._reference_urls:
            url = self._reference_urls.popleft()
            index, tokens = hand.actor.encode_references.options(num_returns=2).remote(url)
            finish = partial(self._encoded, tokens)
            self._calls[index] = Call(hand, finish, partial(self._encoding_failed, url))
        elif self._n_encoding:
            self._idle.append(hand)
        elif not self._shards:
            if not hand.shards:
                # Gives its device back at once, for others on the cluster.
                ray.kill(hand.actor)
        elif not hand.has_references:
            taken = hand.actor.use_references.remote(self._references, self._homes)
            self._calls[taken] = Call(hand, self._ready, self._start_failed, is_start=True)
        else:
            self._give_shards(hand)

    def _give_shards(self, hand: Hand) -> None:
        """Fill the worker's hands, but leave the last shards to those that have none."""
        while self._shards and not hand.is_alone and len(hand.shards) < SHARDS_AT_ONCE:
            failed_before = self._attempts[self._shards[0].url] > 0
            if hand.shards and (failed_before or len(self._shards) < len(self.hands)):
                return
            shard = self._shards.popleft()
            hand.is_alone = failed_before
            hand.shards[shard.id] = shard
            self.began_scoring = self.began_scoring or time.monotonic()
            report = hand.actor.score_shard.remote(shard)
            failed = partial(self._shard_failed, hand, shard)
            self._calls[report] = Call(hand, self._scored, failed)

    # What happens when a call ends

    def _end(self, reference: Any) -> None:
        call = self._calls.pop(reference)
        try:
            answer = ray.get(reference)
        except RayTaskError as error:
            if isinstance(error.cause, CallError):
                raise error.cause from error
            call.retry(_reason(error.cause))
            if call.is_start:
                self._replace(call.hand)
            else:
                self._give_work(call.hand)
        except RayError as error:
            call.retry(_reason(error))
            self._replace(call.hand)
        else:
            call.finish(call.hand, answer)

    def _replace(self, hand: Hand) -> None:
        if hand not in self.hands:
            return  # a second call to it ended with it
        ray.kill(hand.actor)
        self.hands.remove(hand)
        if self._is_work_left():
            self._start_worker()

    def _loaded(self, hand: Hand, place: Place) -> None:
        hand.place = place
        self._give_work(hand)

    def _ready(self, hand: Hand, _: None) -> None:
        hand.has_references = True
        self._attempts["start"] = 0
        self._give_work(hand)

    def _start_failed(self, reason: str) -> None:
        if self._spent("start"):
            raise Incomplete(f"workers do not start: {reason}")
        log.warning("a worker did not start, will be tried again: %s", reason)

    def _encoded(self, tokens: Any, hand: Hand, entries: list[ReferenceEntry]) -> None:
        self._entries.extend(entries)
        self._homes.update({entry.key: tokens for entry in entries})
        self._n_encoding -= 1
        if not self._n_encoding:
            self._share_references()
        self._give_work(hand)

    def _share_references(self) -> None:
        index = ReferenceIndex(self._entries)
        for entry in index.by_key.values():
            if entry.error:
                log.warning("reference %s in %s: %s", entry.key, entry.shard, entry.error)
        self._references = ray.put(index)
        idle, self._idle = self._idle, []
        for hand in idle:
            self._give_work(hand)

    def _encoding_failed(self, url: str, reason: str) -> None:
        shown = without_credentials(url)
        if self._spent(url):
            raise CallError(f"references={shown}: cannot be read: {reason}")
        log.warning("reference shard %s failed, will be tried again: %s", shown, reason)
        self._reference_urls.append(url)

    def _scored(self, hand: Hand, report: ShardReport) -> None:
        hand.reports.append(report)
        del hand.shards[report.shard_id]
        hand.counts.pop(report.shard_id, None)
        hand.is_alone = False
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

    def _shard_failed(self, hand: Hand, shard: Shard, reason: str) -> None:
        shown = without_credentials(shard.url)
        del hand.shards[shard.id]
        hand.counts.pop(shard.id, None)
        hand.is_alone = False
        if self._spent(shard.url):
            log.error("shard %s is set aside: %s", shown, reason)
            self._run.set_aside(shard, self._attempts[shard.url], reason)
            self.set_aside.append(shard)
        else:
            log.warning("shard %s failed, will be tried again: %s", shown, reason)
            self._shards.append(shard)

    def _spent(self, piece: str) -> bool:
        """Count an attempt; whether it was the last."""
        self._attempts[piece] += 1
        return self._attempts[piece] >= self._plan.config.limits.max_shard_attempts

    # What is shown meanwhile

    def _show_progress(self) -> None:
        if time.monotonic() - self._shown < POLL_SECONDS:
            return  # shards may end far more often
        self._shown = time.monotonic()
        for hand in self.hands:
            if hand.progress is not None and ray.wait([hand.progress], timeout=0)[0]:
                with suppress(RayError):  # the worker died; its call says so
                    counts: dict[str, Counts] = ray.get(hand.progress)
                    # An answer may be late: what has ended by now is counted already.
                    hand.counts = {i: counts[i] for i in hand.shards if i in counts}
                hand.progress = None
            if hand.progress is None and hand.has_references:
                hand.progress = hand.actor.progress.remote()
        at_hand = sum((c for hand in self.hands for c in hand.counts.values()), Counts())
        self._progress.show(
            len(self.reports) + len(self.set_aside),
            self._committed + at_hand,
            sum(hand.has_references for hand in self.hands),
        )


def _seconds(timings: list[Timings]) -> dict[str, float]:
    """Totals over a worker's shards; `idle` is the time between them."""
    in_order = sorted(timings, key=lambda each: each.began)
    return {
        "waiting": round(sum(each.waiting for each in timings), 3),
        "scoring": round(sum(each.scoring for each in timings), 3),
        "commit": round(sum(each.commit for each in timings), 3),
        "idle": round(sum(b.began - a.ended for a, b in pairwise(in_order)), 3),
    }


def _reason(error: BaseException) -> str:
    """The first line of an error that says something, with its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
