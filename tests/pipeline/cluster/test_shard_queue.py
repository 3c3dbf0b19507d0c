"""Which shard is next, and when one is given up on."""

from __future__ import annotations

from collections.abc import Callable

from jobs.pipeline.cluster.shard_queue import ShardQueue
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.versions import Version

A, B = (Shard(f"/{name}.tar", Version(1, "")) for name in "ab")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def queue_of(*shards: Shard, clock: Callable[[], float]) -> ShardQueue:
    return ShardQueue(shards, max_attempts=3, clock=clock)


def test_a_shard_that_failed_comes_back_after_growing_pauses_and_then_no_more() -> None:
    clock = Clock()
    queue = queue_of(A, clock=clock)
    for pause in (2.0, 4.0):
        assert queue.first() == A
        assert queue.take() == A
        assert queue.failed(A)
        assert len(queue) == 1
        clock.now += pause - 0.1
        assert queue.first() is None
        clock.now += 0.1
    assert queue.first() == queue.take() == A
    assert not queue.failed(A)
    assert queue.set_aside == [A]
    assert len(queue) == 0
    assert queue.first() is None


def test_others_go_on_during_a_pause() -> None:
    queue = queue_of(A, B, clock=Clock())
    queue.take()
    queue.failed(A)
    assert queue.first() == B
    assert (queue.attempts(A), queue.attempts(B)) == (1, 0)


def test_a_shard_whose_worker_was_lost_with_its_node_comes_back_at_once_and_unmarked() -> None:
    queue = queue_of(A, clock=Clock())
    for _ in range(10):
        queue.put_back(queue.take())
    assert queue.first() == A
    assert queue.attempts(A) == 0
    assert not queue.is_suspect(A)


def test_what_was_there_when_a_worker_died_is_suspect_and_not_yet_guilty() -> None:
    queue = queue_of(A, B, clock=Clock())
    queue.put_back(queue.take(), is_suspect=True)
    assert (queue.is_suspect(A), queue.attempts(A)) == (True, 0)
    assert not queue.is_suspect(B)
