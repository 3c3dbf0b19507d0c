"""How far a driver has come, as those who show it are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from jobs.pipeline.cluster.worker_handle import WorkerHandle
from jobs.pipeline.run.reports import RowCounts


@dataclass(frozen=True)
class Standing:
    """At one moment."""

    n_shards_done: int = 0
    """Committed, or set aside."""
    n_shards_set_aside: int = 0
    n_shards_begun: int = 0
    """Which workers have now."""
    counts: RowCounts = field(default_factory=RowCounts)
    """Rows of shards that are committed, and so far of those at hand."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Samples that could not be done, by kind, of shards that are committed."""
    n_starting: int = 0
    """Workers that do not take shards yet."""
    workers: Sequence[WorkerHandle] = ()
    """Those that take shards."""
    ended: Sequence[WorkerHandle] = ()
    """Those that have done all that there was for them."""

    @property
    def n_idle(self) -> int:
        """Workers that have no shard."""
        return sum(not worker.shards for worker in self.workers)


class Watcher(Protocol):
    """Somebody who shows it."""

    def show(self, standing: Standing) -> None:
        """Called once a second; must not raise, and not take long."""
