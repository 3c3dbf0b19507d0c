"""A worker as the driver knows it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import ray
from ray.exceptions import RayError

from jobs.pipeline.cluster.worker import Place
from jobs.pipeline.run.reports import RowCounts, ShardReport, Timings
from jobs.pipeline.run.shard import Shard


@dataclass(eq=False)
class WorkerHandle:
    """What it is, what it has, and what it has done. The actor itself runs elsewhere."""

    actor: Any
    place: Place | None = None
    """Known once it has loaded."""
    is_ready: bool = False
    """It was told what all workers share, and takes shards."""
    progress: Any = None
    """The answer awaited to the last question for its progress."""
    shards: dict[str, Shard] = field(default_factory=dict)
    """What it was given and has not answered, by id."""
    is_alone: bool = False
    """It has a suspect shard, and gets no second one beside it."""
    is_released: bool = False
    """It was ended, or waits for another job, since there was nothing left for it to do."""
    has_failed: bool = False
    """Some call to it has."""
    died_with: int = 0
    """Shards that it had when it died, unless its node took it along."""
    counts: dict[str, RowCounts] = field(default_factory=dict)
    """Rows so far of the shards at hand, by id."""
    reports: list[ShardReport] = field(default_factory=list)
    """The shards that it committed."""

    def release(self, shard_id: str) -> None:
        """It has this shard no longer."""
        del self.shards[shard_id]
        self.counts.pop(shard_id, None)
        self.is_alone = False

    def ask_for_progress(self) -> None:
        """Take the answer to the last question, where there is one by now, and ask again."""
        if self.progress is not None and ray.wait([self.progress], timeout=0)[0]:
            with suppress(RayError):  # it died; its call says so
                counts: dict[str, RowCounts] = ray.get(self.progress)
                # An answer may be late: what has ended by now is counted already.
                self.counts = {i: counts[i] for i in self.shards if i in counts}
            self.progress = None
        if self.progress is None:
            self.progress = self.actor.progress.remote()

    def is_node_gone(self) -> bool:
        """Whether its node is known to have left the cluster."""
        return self.place is not None and not any(
            node["Alive"] and node["NodeID"] == self.place.node for node in ray.nodes()
        )

    def describe(self) -> dict[str, Any]:
        """Where it ran, how much it scored, and where its seconds went."""
        assert self.place is not None
        return {
            **asdict(self.place),
            "shards": len(self.reports),
            "samples": sum(report.counts.total for report in self.reports),
            **_seconds([report.timings for report in self.reports]),
        }


@dataclass(frozen=True)
class Call:
    """A call to a worker that has not ended."""

    worker: WorkerHandle
    finish: Callable[[WorkerHandle, Any], None]
    retry: Callable[[str, bool], None]
    """Told, when the call fails for another cause than the configuration, the reason, and whether
    the fault can be its own."""
    is_start: bool = False
    """Without it the worker is of no use, so it is replaced when this fails."""


def _seconds(timings: list[Timings]) -> dict[str, float]:
    """Totals over a worker's shards; `idle` is the time between them."""
    in_order = sorted(timings, key=lambda each: each.began)
    return {
        "waiting": round(sum(each.waiting for each in timings), 3),
        "scoring": round(sum(each.scoring for each in timings), 3),
        "commit": round(sum(each.commit for each in timings), 3),
        "idle": round(sum(b.began - a.ended for a, b in pairwise(in_order)), 3),
    }
