"""What the driver and the workers tell each other."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.pipeline.checkpoint import Checkpoint
from jobs.pipeline.config import EvaluateConfig
from jobs.pipeline.fingerprint import Fingerprint


@dataclass(frozen=True)
class Plan:
    """What a worker is told once, at its start."""

    config: EvaluateConfig
    checkpoint: Checkpoint
    fingerprint: Fingerprint
    threads: int
    """Torch's own threads, and as many that decode beside them."""
    batch_size: int


@dataclass
class Counts:
    """Rows by status."""

    ok: int = 0
    skipped: int = 0
    error: int = 0

    @property
    def total(self) -> int:
        """All rows."""
        return self.ok + self.skipped + self.error

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.ok + other.ok, self.skipped + other.skipped, self.error + other.error)


@dataclass(frozen=True)
class ShardReport:
    """What the driver hears of a shard that is committed."""

    shard_id: str
    counts: Counts
    seconds: float
    first_error: str | None
    """The first sample that could not be scored, and why."""
