"""The simplest comparator there is: how red the image is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from masc_core.comparators import PUBLISHED, ComparatorSettings
from masc_core.protocol import Batch, EncodedReference, Features, Kind


@dataclass(frozen=True)
class Pixels:
    """The mean of an image's pixels, (3,) in [0, 1]."""

    pixels: torch.Tensor
    bucket: str = "all"


class MeanColour:
    """The mean red of a generation, in [0, 1]."""

    name = "mean_colour"

    def __init__(self, names: Sequence[str] = (), settings: ComparatorSettings = PUBLISHED) -> None:
        """It has no checkpoint."""

    source = "metric.extra=mean_colour"
    columns: Mapping[str, Kind] = {"mean_colour": "float64"}
    device = torch.device("cpu")
    dtype = torch.float32
    weight_bytes = 0
    bytes_a_sample = 12

    def fingerprint(self) -> dict[str, Any]:
        return {"channel": "red"}

    def load(self) -> None:
        pass

    def prepare(
        self,
        key: str,
        image: Image.Image,
        masks: Mapping[str, np.ndarray],
        prompt: str | None,
        subject: str | None,
    ) -> Pixels:
        return Pixels(torch.from_numpy(np.asarray(image, np.float32).mean((0, 1)) / 255))

    def encode_references(self, batch: Batch) -> list[Features]:
        return [{} for _ in batch.samples]

    def score(
        self, batch: Batch, references: Sequence[Sequence[EncodedReference]]
    ) -> dict[str, list[Any]]:
        return {"mean_colour": batch.pixels[:, 0].tolist()}
