"""Batches of samples that may be stacked together, none far behind the rest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

REACH = 4
"""Batches' worth of samples that may pass while a batch waits to be full."""


def batches_within_reach(
    items: Iterable[Item],
    bucket_of: Callable[[Item], Hashable | None],
    size_of: Callable[[], int],
) -> Iterator[list[Item]]:
    """Group a stream into batches of one bucket, and an empty one for each item of no bucket.

    Items are written in the order in which they came, so all that pass while a batch waits are held
    in memory: a batch whose first item lies `REACH` batches' worth back goes out as it is.

    Args:
        bucket_of: None for an item that is not to be computed.
        size_of: items a batch; may change meanwhile.
    """
    waiting: OrderedDict[Hashable, tuple[int, list[Item]]] = OrderedDict()
    for position, item in enumerate(items):
        bucket = bucket_of(item)
        if bucket is None:
            yield []
        else:
            _, batch = waiting.setdefault(bucket, (position, []))
            batch.append(item)
            if len(batch) >= size_of():
                yield waiting.pop(bucket)[1]
        while waiting and next(iter(waiting.values()))[0] <= position - REACH * size_of():
            yield waiting.popitem(last=False)[1][1]
    for _, batch in waiting.values():
        yield batch
