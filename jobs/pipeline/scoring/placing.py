"""Which networks stand on a device together, and which wait for a pass of their own.

1. The first pass has MaSC's encoder, and whatever else has to be there.
2. The others come by size, the largest first, each into the first pass with room for it; where none
   has, into a pass more.

Weights alone are counted: batches are made as large as what is left allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.pipeline.errors import CallError

TOGETHER = 0.6
"""Of a device's memory that the weights of networks which need not stand together take at most; the
rest is for batches, and for what is kept of references."""
AT_MOST = 0.9
"""The same of what cannot be parted, one network or what the first pass has to have: with less room
batches are smaller."""


@dataclass(frozen=True)
class Need:
    """What a metric needs of a device."""

    name: str
    source: str
    """The setting that says where its network comes from."""
    weight_bytes: int | None
    """None where it cannot be told; it then counts nothing."""
    own_pass: bool | None = None
    """What the call says: alone, or in the first pass whatever the room; None: by its size."""
    is_first: bool = False
    """Whether it has to be in the first pass: MaSC, and what a run is decided early by."""

    def __str__(self) -> str:
        size = "of a size not known" if self.weight_bytes is None else in_gb(self.weight_bytes)
        return f"{self.name} ({size})"


def passes_of(needs: Sequence[Need], room: int | None, is_firm: bool = True) -> list[list[int]]:
    """The passes, and of each the numbers of those needs that it answers, in their order.

    Args:
        room: bytes of the memory that a worker has for networks; None where that is not known, and
            nothing is parted for its size.
        is_firm: whether what is too large for it is refused, and not tried.

    Raises:
        CallError: one fits nowhere, or not where it has to be.
    """
    for each in needs:
        if each.is_first and each.own_pass:
            raise CallError(
                f"{each.name}: asked for by own_pass=true, and gated with early=true, so its place "
                "is in the first pass"
            )
    first = [n for n, each in enumerate(needs) if each.is_first or each.own_pass is False]
    alone = [[n] for n, each in enumerate(needs) if each.own_pass and not each.is_first]
    _require_room(needs, first, room if is_firm else None)
    shared = [first] if first else []
    free = set(range(len(needs))) - {n for own in (first, *alone) for n in own}
    for n in sorted(free, key=lambda n: (-(needs[n].weight_bytes or 0), n)):
        takes_nothing = not needs[n].weight_bytes
        fitting = (own for own in shared if takes_nothing or _fit(needs, [*own, n], room))
        own = next(fitting, None)
        if own is None:
            shared.append([n])
        else:
            own.append(n)
    n_first = 1 if first else 0
    further = sorted(sorted(own) for own in (*shared[n_first:], *alone))
    return [*map(sorted, shared[:n_first]), *further]


def told(passes: Sequence[Sequence[Need]], room: int | None) -> str:
    """The passes, in one line."""
    by = "" if room is None else f", as a worker's device has {in_gb(room)}"
    return f"{len(passes)} passes{by}: " + "; then ".join(
        ", ".join(map(str, own)) for own in passes
    )


def in_gb(n: int) -> str:
    """Bytes, as `workers.memory_gb` counts them."""
    return f"{n / 1e9:.3g} GB"


def _bytes_of(needs: Sequence[Need], own: Sequence[int]) -> int:
    return sum(needs[n].weight_bytes or 0 for n in own)


def _fit(needs: Sequence[Need], own: Sequence[int], room: int | None) -> bool:
    return room is None or _bytes_of(needs, own) <= TOGETHER * room


def _require_room(needs: Sequence[Need], first: Sequence[int], room: int | None) -> None:
    if room is None:
        return
    for n, need in enumerate(needs):
        if _bytes_of(needs, [n]) > AT_MOST * room:
            raise CallError(
                f"{need.source}: cannot be loaded: its weights take "
                f"{in_gb(_bytes_of(needs, [n]))}, and a worker's device has {in_gb(room)}; name "
                "a dtype that takes less, larger devices, or workers.memory_gb if it has more"
            )
    if _bytes_of(needs, first) > AT_MOST * room:
        names = ", ".join(str(needs[n]) for n in first)
        raise CallError(
            f"{names}: have to stand together, and a worker's device has {in_gb(room)}; what is "
            "asked for by own_pass=false, or gated with early=true, has its place there"
        )
