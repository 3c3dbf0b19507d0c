"""What the driver and the workers tell each other."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.pipeline.evaluation_config import EvaluateConfig
from jobs.pipeline.run.fingerprint import Fingerprint
from jobs.pipeline.scoring.checkpoint import Checkpoint


@dataclass(frozen=True)
class Plan:
    """What a worker is told once, at its start."""

    config: EvaluateConfig
    checkpoint: Checkpoint
    fingerprint: Fingerprint
    threads: int
    """Torch's own threads, and as many that decode beside them."""
    batch_size: int | None
    """Images a forward pass; None lets the worker choose for its device."""
