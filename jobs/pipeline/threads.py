"""Work done in threads beside the consumer, in order and within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Full, Queue
from threading import Event, Thread
from types import TracebackType
from typing import Generic, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_POLL_SECONDS = 0.1


def set_torch_threads(n: int) -> None:
    """Let torch use `n` cores from the calling thread, whatever other threads set for themselves.

    `torch.set_num_threads` alone does not last: the first operation of a thread resets the thread
    to the number that *any* thread set last. Asking for the number counts as that operation.
    """
    torch.get_num_threads()
    torch.set_num_threads(n)


def torch_threads(n: int, cores: int, name: str) -> ThreadPoolExecutor:
    """A pool of `n` threads, each of which lets torch use `cores` cores."""
    return ThreadPoolExecutor(n, name, initializer=set_torch_threads, initargs=(cores,))


class MapInThreads(Generic[Item, Result]):
    """`map(function, items)`, in order, with both the reading and the function off this thread.

    One thread draws from `items`, from now on, and hands each to `pool`; at most `ahead` results
    wait. What `items` or `function` raises is raised to the consumer, in its place. Leaving the
    context stops the reading.
    """

    def __init__(
        self,
        function: Callable[[Item], Result],
        items: Iterator[Item],
        pool: ThreadPoolExecutor,
        ahead: int,
    ) -> None:
        """Begin to read."""
        self._function = function
        self._items = items
        self._pool = pool
        self._waiting: Queue[Future[Result] | None] = Queue(maxsize=ahead)
        self._stopped = Event()
        self._reader = Thread(target=self._read, name="shard-reader", daemon=True)
        self._reader.start()

    def __enter__(self) -> MapInThreads[Item, Result]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._reader.join()

    def __iter__(self) -> Iterator[Result]:
        while (future := self._waiting.get()) is not None:
            yield future.result()

    def _read(self) -> None:
        try:
            for item in self._items:
                if self._stopped.is_set():
                    return
                self._put(self._pool.submit(self._function, item))
        except BaseException as error:  # noqa: BLE001 - raised again in the consumer's thread
            failed: Future[Result] = Future()
            failed.set_exception(error)
            self._put(failed)
        self._put(None)

    def _put(self, future: Future[Result] | None) -> None:
        while not self._stopped.is_set():
            with suppress(Full):
                self._waiting.put(future, timeout=_POLL_SECONDS)
                return
