"""The settings of a training; cheap to import (no torch)."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.pipeline.command.settings import setting
from jobs.pipeline.errors import CallError


@dataclass
class TrainingConfig:
    """What a training follows from."""

    seed: int = setting(0, "of the first weights and of every batch")
    steps: int = setting(1800, "batches")
    pairs: int = setting(32, "concepts a batch, two photos each")
    individuals: int = setting(4, "that a noun of the world stands for, by chance")
    scenes: int = setting(4, "scenes that the photos of a batch share")
    width: int = setting(128, "of both towers")
    heads: int = setting(4, "attention heads of both towers")
    vision_layers: int = setting(4, "layers of the vision tower")
    text_layers: int = setting(1, "layers of the text tower")
    learning_rate: float = setting(1.5e-3, "its peak; it rises for `warmup` steps, then falls to 0")
    warmup: int = setting(40, "steps")
    weight_decay: float = setting(0.05, "of AdamW, on matrices")
    concept_weight: float = setting(2.0, "of the contrast of concepts by CP; 0 leaves it out")
    scene_weight: float = setting(
        0.3, "of the contrast of backgrounds with scenes' words; 0 leaves it out"
    )
    drop_subject: float = setting(0.2, "share of captions without the subject")
    drop_scene: float = setting(0.2, "share of captions without the scene")
    start_from: str = setting("", "checkpoint directory to begin with; none: from first weights")

    def check(self) -> None:
        """What types alone cannot say.

        Raises:
            CallError: a value out of range.
        """
        for name, least, most in (
            ("seed", 0, 2**63 - 1),
            ("steps", 1, 10**6),
            ("pairs", 2, 720),
            ("individuals", 1, 100),
            ("scenes", 2, 24),
            ("drop_subject", 0, 1),
            ("drop_scene", 0, 1 - self.drop_subject),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise CallError(f"training.{name}={value}: must be from {least} to {most:g}")
