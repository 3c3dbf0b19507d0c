"""How far a run is, as series for Prometheus, by way of Ray's own metrics.

Every node of a Ray cluster exports them beside Ray's own series, each name with `ray_` before it
and a counter's with `_total` behind. `launch/watching/` has a dashboard and alerts made of them.
They are set by the driver alone, from what it hears of its workers anyhow, so they cost the workers
nothing.
"""

from __future__ import annotations

import math
from collections import Counter as Tally
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

from ray.util import metrics

from jobs.pipeline.cluster.standing import Standing
from jobs.pipeline.cluster.worker_handle import WorkerHandle
from jobs.pipeline.run.reports import Timings

SHARD_SECONDS = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]
"""Bounds of the histogram of shards; one is about a thousand samples."""

OF_RUN = ("run",)
OF_WORKER = ("run", "node", "worker")


class Series:
    """The series of one run. A context manager: at its end nothing is said to be under way."""

    def __init__(self, run: str, n_shards: int, counts_samples: bool = True) -> None:
        """Nothing is exported before `show`.

        Args:
            run: its URL, without credentials: what tells it from others on the cluster.
            n_shards: that this call does.
            counts_samples: whether it counts them; a further pass over the same ones does not.
        """
        self._counts_samples = counts_samples
        self._run = {"run": run}
        self._n_shards = n_shards
        self._samples = metrics.Counter(
            "masc_samples", "Rows of committed shards, by status.", (*OF_WORKER, "status")
        )
        self._errors = metrics.Counter(
            "masc_errors", "Samples that could not be done, by kind.", (*OF_RUN, "kind")
        )
        self._rate = metrics.Gauge(
            "masc_samples_per_second", "Of the worker's last shard, while it had it.", OF_WORKER
        )
        self._busy = metrics.Gauge(
            "masc_encoder_busy_share", "Of the worker's time from its first shard on.", OF_WORKER
        )
        self._wait = metrics.Gauge(
            "masc_decode_wait_share", "Of the worker's time from its first shard on.", OF_WORKER
        )
        self._shard_seconds = metrics.Histogram(
            "masc_shard_seconds", "From decoding to commit.", SHARD_SECONDS, OF_WORKER
        )
        self._shards = metrics.Gauge(
            "masc_shards", "To do, begun, done and set aside.", (*OF_RUN, "state")
        )
        self._workers = metrics.Gauge(
            "masc_workers", "Working, idle and starting.", (*OF_RUN, "state")
        )
        self._in_work = metrics.Gauge(
            "masc_rows", "Rows of this call, with those of shards that are not committed.", OF_RUN
        )
        self._seen: dict[int, _Seen] = {}
        """What was counted of each worker, by its handle's identity."""
        self._n_errors = Tally[str]()
        """Errors that were counted, by kind."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for state in ("to_do", "begun"):
            self._shards.set(0, {**self._run, "state": state})
        for state in ("working", "idle", "starting"):
            self._workers.set(0, {**self._run, "state": state})

    def show(self, standing: Standing) -> None:
        """Set every series to what is known now."""
        for worker in (*standing.workers, *standing.ended):
            self._show_worker(worker)
        for kind, n in standing.errors.items():
            if more := n - self._n_errors[kind]:
                self._n_errors[kind] = n
                self._errors.inc(more, {**self._run, "kind": kind})
        n_open = self._n_shards - standing.n_shards_done
        self._set_states(
            self._shards,
            to_do=n_open - standing.n_shards_begun,
            begun=standing.n_shards_begun,
            done=standing.n_shards_done - standing.n_shards_set_aside,
            set_aside=standing.n_shards_set_aside,
        )
        self._set_states(
            self._workers,
            working=len(standing.workers) - standing.n_idle,
            idle=standing.n_idle,
            starting=standing.n_starting,
        )
        self._in_work.set(standing.counts.total, self._run)

    def _set_states(self, gauge: metrics.Gauge, **values: int) -> None:
        for state, value in values.items():
            gauge.set(value, {**self._run, "state": state})

    def _show_worker(self, worker: WorkerHandle) -> None:
        seen = self._seen.setdefault(id(worker), _Seen())
        new = worker.reports[seen.n_reports :]
        if worker.place is None or not new:
            return
        tags = {**self._run, "node": worker.place.node, "worker": str(worker.place.pid)}
        for report in new:
            for status, n in asdict(report.counts).items():
                if n and self._counts_samples:
                    self._samples.inc(n, {**tags, "status": status})
            timings = report.timings
            seconds = timings.waiting + timings.scoring
            self._shard_seconds.observe(seconds + timings.commit, tags)
            if seconds > 0:
                self._rate.set(report.counts.total / seconds, tags)
            seen.add(timings)
        if seen.seconds > 0:
            self._busy.set(seen.scoring / seen.seconds, tags)
            self._wait.set(seen.waiting / seen.seconds, tags)


@dataclass
class _Seen:
    """Of one worker's shards: totals, so that a look costs what is new and not all that was."""

    n_reports: int = 0
    scoring: float = 0.0
    waiting: float = 0.0
    began: float = math.inf
    ended: float = -math.inf

    def add(self, timings: Timings) -> None:
        """One shard more."""
        self.n_reports += 1
        self.scoring += timings.scoring
        self.waiting += timings.waiting
        self.began = min(self.began, timings.began)
        self.ended = max(self.ended, timings.ended)

    @property
    def seconds(self) -> float:
        """From the first shard's begin to the last one's end."""
        return self.ended - self.began
