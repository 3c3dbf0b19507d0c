"""A comparator that keeps descriptors of references, has two buckets, and cannot bear every
image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from masc_core.comparators import PUBLISHED, ComparatorSettings
from masc_core.protocol import NOTES, Batch, EncodedReference, Features, Kind

BINS = {"wide": 8, "tall": 4}
"""Tones that an image is described by, by its bucket: they cannot be stacked together."""


@dataclass(frozen=True)
class Histogram:
    """Shares of an image's grey levels, (bins,)."""

    pixels: torch.Tensor
    bucket: str


class Tones:
    """How alike the grey levels of a generation and its references are, in [0, 1]."""

    name = "tones"

    def __init__(self, names: Sequence[str] = (), settings: ComparatorSettings = PUBLISHED) -> None:
        """It has no checkpoint."""

    source = "metric.extra=tones"
    columns: Mapping[str, Kind] = {"tones": "float64", "tones_per_reference": "list<float64>"}
    device = torch.device("cpu")
    dtype = torch.float32
    weight_bytes = 0
    bytes_a_sample = 32

    def fingerprint(self) -> dict[str, Any]:
        return {"bins": BINS}

    def load(self) -> None:
        self._asked = 0

    def prepare(
        self,
        key: str,
        image: Image.Image,
        masks: Mapping[str, np.ndarray],
        prompt: str | None,
        subject: str | None,
    ) -> Histogram:
        if key.endswith("unprepared"):
            raise ValueError("no tones in it")
        bucket = "wide" if image.width > image.height else "tall"
        counts = np.histogram(np.asarray(image.convert("L")), BINS[bucket], (0, 256))[0]
        shares = torch.tensor(counts / counts.sum(), dtype=torch.float32)
        return Histogram(shares if not key.endswith("unscored") else shares * torch.nan, bucket)

    def encode_references(self, batch: Batch) -> list[Features]:
        # By four tones, whatever the bucket, so that every generation can be compared.
        return [{"shares": each.reshape(4, -1).sum(1)} for each in batch.pixels]

    def score(
        self, batch: Batch, references: Sequence[Sequence[EncodedReference]]
    ) -> dict[str, list[Any]]:
        if batch.pixels.isnan().any():
            raise RuntimeError("tones do not add up")
        shares = batch.pixels.reshape(len(batch.pixels), 4, -1).sum(2)
        per_reference = [
            [float(torch.minimum(own, each.features["shares"]).sum()) for each in against]
            for own, against in zip(shares, references, strict=True)
        ]
        return {
            "tones": [sum(each) / len(each) for each in per_reference],
            "tones_per_reference": per_reference,
            NOTES: [None] * len(per_reference),
        }
