"""Ending a run when no more of its shards are needed: asked in a thread, while shards go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol

from jobs.pipeline.cluster.standing import Standing
from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.run.shard import Shard

log = logging.getLogger(__name__)


class Enough(Protocol):
    """Somebody who can tell from what is committed that the rest is not needed."""

    def in_order(self, shards: Iterable[Shard]) -> list[Shard]:
        """The same shards, as they are to be done."""

    def is_enough(self) -> bool:
        """Whether no more is needed. May take seconds.

        Raises:
            CallError: it can never tell.
            StorageError: what is committed cannot be read.
        """

    def described(self, n_not_done: int) -> Mapping[str, Any]:
        """What `run.json` says of it.

        Args:
            n_not_done: shards that were not done since they were not needed.
        """


class Asking:
    """Asks whenever shards were done, and says so once it is enough. A context manager, and a
    `cluster.Watcher`."""

    def __init__(self, enough: Enough, when_enough: Callable[[], None]) -> None:
        """Nothing is asked yet; `when_enough` is called by whoever calls `show`."""
        self._enough = enough
        self._when_enough = when_enough
        self._asked: Future[bool] | None = None
        self._n_asked = 0
        """Shards that were done when it was last asked."""
        self._is_over = False
        self.is_enough = False

    def __enter__(self) -> Asking:
        self._thread = ThreadPoolExecutor(1, "gate")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def show(self, standing: Standing) -> None:
        """Hear an answer; ask again where more shards are done since."""
        if self._is_over:
            return
        if self._asked is not None and self._asked.done():
            asked, self._asked = self._asked, None
            self._hear(asked)
        if self._asked is None and standing.n_shards_done > self._n_asked and not self._is_over:
            self._n_asked = standing.n_shards_done
            self._asked = self._thread.submit(self._enough.is_enough)

    def hear_last(self) -> None:
        """All that was begun is done: ask once more, and wait for the answer."""
        if not self._is_over:
            if self._asked is not None:
                self._hear(self._asked)
            if not self._is_over:
                self._hear(self._thread.submit(self._enough.is_enough))

    def _hear(self, asked: Future[bool]) -> None:
        try:
            self.is_enough = asked.result()
        except CallError as error:
            log.error("nothing is decided early: %s", error)
            self._is_over = True
            return
        except StorageError as error:
            log.warning("could not be looked at, will be tried again: %s", error)
            return
        if self.is_enough:
            self._is_over = True
            self._when_enough()
