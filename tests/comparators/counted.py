"""A comparator that says that its weights are large, and notes each sample that it scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from masc_core.comparators import PUBLISHED, ComparatorSettings
from masc_core.protocol import Batch, EncodedReference, Kind
from tests.comparators.mean_colour import MeanColour, Pixels


class Counted(MeanColour):
    """The mean red of a generation. Its `name_or_path` is the file that keys are noted in."""

    name = "counted"
    columns: Mapping[str, Kind] = {"counted": "float64"}
    weight_bytes = 10 * 10**9

    def __init__(self, names: Sequence[str] = (), settings: ComparatorSettings = PUBLISHED) -> None:
        self._noted = settings.name_or_path
        self.source = f"comparators.counted.name_or_path={self._noted}"
        self._keys: dict[int, str] = {}

    def prepare(
        self,
        key: str,
        image: Image.Image,
        masks: Mapping[str, np.ndarray],
        prompt: str | None,
        subject: str | None,
    ) -> Pixels:
        prepared = super().prepare(key, image, masks, prompt, subject)
        self._keys[id(prepared)] = key
        return prepared

    def score(
        self, batch: Batch, references: Sequence[Sequence[EncodedReference]]
    ) -> dict[str, list[Any]]:
        if self._noted is not None:
            with Path(self._noted).open("a") as file:
                file.writelines(f"{self._keys[id(each)]}\n" for each in batch.samples)
        return {"counted": batch.pixels[:, 0].tolist()}
