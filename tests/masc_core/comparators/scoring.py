"""A metric called as a worker calls it, on photos."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from masc_core.comparators import ComparatorSettings, make_comparators
from masc_core.protocol import Batch, EncodedReference, Metric
from tests.photos import Photo

Note = Callable[[str, Any, Any], None]
"""The fixture `note_difference`."""


@dataclass(frozen=True)
class Sample:
    """An image with its mask, and the prompt of a generation with the noun to take out of it."""

    image: Image.Image
    mask: np.ndarray
    prompt: str | None = None
    subject: str | None = None

    @classmethod
    def of(cls, photo: Photo, size: tuple[int, int], prompt: str | None = None) -> Sample:
        """The upper left part of a photo, of this width and height."""
        width, height = size
        image = photo.image.convert("RGB").crop((0, 0, width, height))
        return cls(image, photo.mask[:height, :width], prompt)


def loaded(*names: str, path: Path, **settings: Any) -> Metric:
    """The metric of these names on a worker: described elsewhere, pickled, loaded."""
    settings = {"name_or_path": str(path), **settings}
    metric = make_comparators(names, ComparatorSettings(**settings))
    metric.fingerprint()
    metric = pickle.loads(pickle.dumps(metric))
    metric.load()
    return metric


def batches(metric: Metric, samples: Sequence[Sample], size: int) -> list[Batch]:
    prepared = [
        metric.prepare(str(i), own.image, {"given": own.mask}, own.prompt, own.subject)
        for i, own in enumerate(samples)
    ]
    assert len({own.bucket for own in prepared}) <= 1
    parts = [prepared[i : i + size] for i in range(0, len(prepared), size)]
    return [
        Batch(part, torch.stack([own.pixels for own in part]).to(metric.device, metric.dtype))
        for part in parts
    ]


def encoded(metric: Metric, samples: Sequence[Sample], size: int) -> list[EncodedReference]:
    """References, by way of what a run stores of them: arrays."""
    features = [
        {name: torch.tensor(kept.cpu().numpy()) for name, kept in own.items()}
        for batch in batches(metric, samples, size)
        for own in metric.encode_references(batch)
    ]
    return [EncodedReference(f"r{i}", own) for i, own in enumerate(features)]


def scored(
    metric: Metric, generations: Sequence[Sample], references: Sequence[Sample], size: int
) -> dict[str, list[Any]]:
    """The columns of all generations, each scored against all references."""
    own = encoded(metric, references, size)
    columns: dict[str, list[Any]] = {}
    for batch in batches(metric, generations, size):
        for name, values in metric.score(batch, [own] * len(batch.samples)).items():
            columns.setdefault(name, []).extend(values)
    return columns
