"""What is said of a shard that is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass
class RowCounts:
    """Rows by status."""

    ok: int = 0
    skipped: int = 0
    error: int = 0

    @property
    def total(self) -> int:
        """All rows."""
        return self.ok + self.skipped + self.error

    def __add__(self, other: RowCounts) -> RowCounts:
        return RowCounts(self.ok + other.ok, self.skipped + other.skipped, self.error + other.error)


@dataclass
class Timings:
    """Where the time of one shard went, in seconds."""

    began: float = 0.0
    """When it got the encoder, by the worker's clock."""
    waiting: float = 0.0
    """For samples to be read and decoded, while it had the encoder."""
    scoring: float = 0.0
    """In the encoder, and whatever else comes after decoding."""
    commit: float = 0.0
    """Writing the part, while another shard has the encoder."""

    @property
    def ended(self) -> float:
        """When it let go of the encoder."""
        return self.began + self.waiting + self.scoring


@dataclass(frozen=True)
class Warned:
    """Rows of which one kind of thing is suspicious."""

    n: int
    example: str
    """The first of them, and what is suspicious of it."""

    def __add__(self, other: Warned) -> Warned:
        return Warned(self.n + other.n, self.example)


def merged(found: Iterable[Mapping[str, Warned]]) -> dict[str, Warned]:
    """The warnings of several shards as one."""
    total: dict[str, Warned] = {}
    for warnings in found:
        for kind, warned in warnings.items():
            total[kind] = total[kind] + warned if kind in total else warned
    return total


@dataclass(frozen=True)
class ShardReport:
    """What the driver hears of a shard that is committed."""

    shard_id: str
    counts: RowCounts
    timings: Timings
    first_error: str | None
    """The first sample that could not be scored, and why."""
    warnings: Mapping[str, Warned] = field(default_factory=dict)
    """What is suspicious of rows that are `ok`, by its kind."""
