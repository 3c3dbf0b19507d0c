"""Work done in threads beside the consumer, in order and within bounds."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_END = None
_POLL_SECONDS = 0.1


def map_in_threads(
    function: Callable[[Item], Result], items: Iterator[Item], pool: ThreadPoolExecutor, ahead: int
) -> Generator[Result, None, None]:
    """`map(function, items)`, in order, with both the reading and the function off this thread.

    One thread draws from `items` and hands each to `pool`; at most `ahead` results wait. What
    `items` or `function` raises is raised here, in its place. Closing the iterator stops the
    reading.
    """
    waiting: Queue[Future[Result] | None] = Queue(maxsize=ahead)
    stopped = Event()

    def put(future: Future[Result] | None) -> None:
        while not stopped.is_set():
            with suppress(Full):
                waiting.put(future, timeout=_POLL_SECONDS)
                return

    def read() -> None:
        try:
            for item in items:
                if stopped.is_set():
                    return
                put(pool.submit(function, item))
        except BaseException as error:  # noqa: BLE001 - raised again in the consumer's thread
            failed: Future[Result] = Future()
            failed.set_exception(error)
            put(failed)
        put(_END)

    reader = Thread(target=read, name="shard-reader", daemon=True)
    reader.start()
    try:
        while (future := waiting.get()) is not None:
            yield future.result()
    finally:
        stopped.set()
        reader.join()
