"""Batches that hold one patch grid."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

OPEN_BATCHES = 4
"""Full batches' worth of items that may wait for others of their grid."""


def batches_of_one_grid(
    items: Iterable[Item], grid_of: Callable[[Item], Hashable], size: int
) -> Iterator[list[Item]]:
    """Group a stream into batches of up to `size` items of one grid.

    At most `OPEN_BATCHES * size` items are held: beyond that the batch that has waited longest goes
    out as it is, so one rare grid neither grows memory nor waits for the end.
    """
    waiting: OrderedDict[Hashable, list[Item]] = OrderedDict()
    held = 0
    for item in items:
        batch = waiting.setdefault(grid_of(item), [])
        batch.append(item)
        held += 1
        if len(batch) == size:
            del waiting[grid_of(item)]
        elif held > OPEN_BATCHES * size:
            _, batch = waiting.popitem(last=False)
        else:
            continue
        held -= len(batch)
        yield batch
    yield from waiting.values()
