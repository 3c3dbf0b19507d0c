"""Batches of what may be stacked together."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

OPEN_BATCHES = 4
"""Full batches' worth of a metric's items that may wait for others of their bucket."""

Bucket = tuple[int, Hashable]
"""The number of a metric, and what of its samples may be stacked together."""


def batches_of_one_bucket(
    items: Iterable[Item], bucket_of: Callable[[Item], Bucket], size_of: Callable[[int], int]
) -> Iterator[list[Item]]:
    """Group a stream into batches of one bucket.

    At most `OPEN_BATCHES` batches' worth of a metric's items are held: beyond that its batch that
    has waited longest goes out as it is, so one rare bucket neither grows memory nor waits for the
    end.

    Args:
        size_of: items a batch, by the number of the metric; may change meanwhile.
    """
    waiting: OrderedDict[Bucket, list[Item]] = OrderedDict()
    held: Counter[int] = Counter()
    for item in items:
        bucket = bucket_of(item)
        metric, size = bucket[0], size_of(bucket[0])
        batch = waiting.setdefault(bucket, [])
        batch.append(item)
        held[metric] += 1
        if len(batch) < size:
            if held[metric] <= OPEN_BATCHES * size:
                continue
            bucket = next(each for each in waiting if each[0] == metric)
        batch = waiting.pop(bucket)
        held[metric] -= len(batch)
        yield batch
    yield from waiting.values()
