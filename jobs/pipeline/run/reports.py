"""What is said of a shard that is done."""

from __future__ import annotations

from dataclasses import dataclass


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
class ShardReport:
    """What the driver hears of a shard that is committed."""

    shard_id: str
    counts: RowCounts
    timings: Timings
    first_error: str | None
    """The first sample that could not be scored, and why."""
