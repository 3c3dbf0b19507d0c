"""How far a run is, as series for Prometheus, by way of Ray's own metrics.

Every node of a Ray cluster exports them beside Ray's own series, each name with `ray_` before it
and a counter's with `_total` behind. `launch/watching/` has a dashboard and alerts made of them.
They are set by the driver alone, from what it hears of its workers anyhow, so they cost the workers
nothing.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Self

from ray.util import metrics

from jobs.pipeline.cluster.standing import Standing
from jobs.pipeline.cluster.worker_handle import WorkerHandle

SHARD_SECONDS = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]
"""Bounds of the histogram of shards; one is about a thousand samples."""

OF_RUN = ("run",)
OF_WORKER = ("run", "node", "worker")


class Series:
    """The series of one run. A context manager: at its end nothing is said to be under way."""

    def __init__(self, run: str, n_shards: int) -> None:
        """Nothing is exported before `show`.

        Args:
            run: its URL, without credentials: what tells it from others on the cluster.
            n_shards: that this call does.
        """
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
        self._n_reports: dict[int, int] = {}
        """Shards of each worker that were counted, by its handle's identity."""
        self._n_errors = Tally[str]()
        """Errors that were counted, by kind."""
        self._last = Standing()

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
        done = self._n_reports.get(id(worker), 0)
        if worker.place is None or len(worker.reports) == done:
            return
        self._n_reports[id(worker)] = len(worker.reports)
        tags = {**self._run, "node": worker.place.node, "worker": str(worker.place.pid)}
        for report in worker.reports[done:]:
            for status, n in asdict(report.counts).items():
                if n:
                    self._samples.inc(n, {**tags, "status": status})
            timings = report.timings
            seconds = timings.waiting + timings.scoring
            self._shard_seconds.observe(seconds + timings.commit, tags)
            if seconds > 0:
                self._rate.set(report.counts.total / seconds, tags)
        for name, share in shares_of(worker).items():
            {"scoring": self._busy, "waiting": self._wait}[name].set(share, tags)


def shares_of(worker: WorkerHandle) -> Mapping[str, float]:
    """Of the time from a worker's first shard to the end of its last: what it computed, and what
    it waited for samples, in [0, 1]; empty where there was no time."""
    timings = [report.timings for report in worker.reports]
    whole = max(each.ended for each in timings) - min(each.began for each in timings)
    if whole <= 0:
        return {}
    return {
        "scoring": sum(each.scoring for each in timings) / whole,
        "waiting": sum(each.waiting for each in timings) / whole,
    }
