"""Work in threads beside the consumer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from jobs.pipeline.threads import MapInThreads, set_torch_threads, torch_threads


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_results_come_in_order_however_long_each_takes(pool: ThreadPoolExecutor) -> None:
    def slow(i: int) -> int:
        time.sleep(0.01 * (i % 3))
        return i * i

    assert list(MapInThreads(slow, iter(range(30)), pool, 5)) == [i * i for i in range(30)]


def test_no_more_is_read_than_may_wait(pool: ThreadPoolExecutor) -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for i in range(100):
            read.append(i)
            yield i

    with MapInThreads(lambda i: i, items(), pool, 3) as results:
        next(iter(results))
        time.sleep(0.2)
        assert len(read) == 1 + 3 + 1  # one given out, three that wait, one in hand


def test_reading_begins_before_anything_is_asked_for(pool: ThreadPoolExecutor) -> None:
    began = threading.Event()

    def items() -> Iterator[int]:
        began.set()
        yield 1

    with MapInThreads(lambda i: i, items(), pool, 3):
        assert began.wait(5)


def test_what_the_items_raise_is_raised_in_its_place(pool: ThreadPoolExecutor) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("broken stream")

    results = iter(MapInThreads(lambda i: i, items(), pool, 3))
    assert next(results) == 1
    with pytest.raises(OSError, match="broken stream"):
        next(results)


def test_what_the_function_raises_is_raised_in_its_place(pool: ThreadPoolExecutor) -> None:
    results = iter(MapInThreads(lambda i: 1 // i, iter([1, 0, 1]), pool, 3))
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_leaving_early_leaves_no_thread_behind(pool: ThreadPoolExecutor) -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    with MapInThreads(lambda i: i, endless(), pool, 2) as results:
        next(iter(results))
    assert not [t for t in threading.enumerate() if t.name == "shard-reader"]


def test_a_thread_keeps_its_number_of_cores_whatever_another_sets_for_itself() -> None:
    used = threading.Event(), threading.Event()
    found: list[int] = []

    def computes_with_three() -> None:
        set_torch_threads(3)
        used[0].set()
        used[1].wait()
        torch.ones(10).sum()
        found.append(torch.get_num_threads())

    computing = threading.Thread(target=computes_with_three)
    computing.start()
    used[0].wait()
    with torch_threads(1, 1, "decode") as pool:
        found.append(pool.submit(torch.get_num_threads).result())
        used[1].set()
        computing.join()
    assert found == [1, 3]
