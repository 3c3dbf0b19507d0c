"""A batch of the rendered world, and a small model to train on it."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.demo.training.batches import PairBatch, PairBatches
from jobs.demo.training.model import new_model, world_tokenizer


@pytest.fixture(scope="package")
def batch() -> PairBatch:
    return PairBatches(
        seed=0, steps=9, pairs=5, individuals=3, scenes=4, drop_subject=0.2, drop_scene=0.2
    )[3]


@pytest.fixture(scope="package")
def tokenizer() -> Any:
    return world_tokenizer()


@pytest.fixture(scope="package")
def model(tokenizer: Any) -> Any:
    return new_model(tokenizer, 0, width=32, heads=2, vision_layers=2, text_layers=1)
