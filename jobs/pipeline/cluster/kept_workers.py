"""Workers that outlast a shard job: the next one of the same call finds what they have loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import ray

from jobs.pipeline.cluster.layout import Layout
from jobs.pipeline.cluster.worker import start_worker


class KeptWorkers:
    """Workers of one size that wait for a job. They hold their devices meanwhile."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiting: list[Any] = []
        """Actors."""
        self._size: tuple[float, int] | None = None
        """GPUs and cores of each."""

    def start(self, layout: Layout) -> Any:
        """An actor that waits, or a new one. Those of another size make room for it."""
        size = (layout.gpus, layout.cpus)
        if size != self._size:
            self.end()
            self._size = size
        return self._waiting.pop() if self._waiting else start_worker(layout)

    def keep(self, actor: Any) -> None:
        """Let an actor of the size that was started last wait."""
        self._waiting.append(actor)

    def end(self) -> None:
        """End those that wait."""
        while self._waiting:
            ray.kill(self._waiting.pop())


_kept: ContextVar[KeptWorkers | None] = ContextVar("kept", default=None)


def kept_workers() -> KeptWorkers | None:
    """Those of the call; None where a job's workers end with it."""
    return _kept.get()


@contextmanager
def workers_kept() -> Iterator[None]:
    """Within it workers wait for the next shard job. For a caller that does several jobs on a
    cluster that it has joined."""
    workers = KeptWorkers()
    token = _kept.set(workers)
    try:
        yield
    finally:
        _kept.reset(token)
        if ray.is_initialized():
            workers.end()
