"""The simplest segmenter there is: where the image is dark, whatever the text."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from masc_core.protocol import Batch


@dataclass
class DarkSample:
    pixels: torch.Tensor

    @property
    def bucket(self) -> tuple[int, ...]:
        return tuple(self.pixels.shape)


@dataclass
class DarkPlaces:
    below: int = 128
    name = "dark_places"
    device = torch.device("cpu")
    bytes_a_sample = 1 << 20

    def fingerprint(self) -> dict[str, object]:
        return {"name": self.name, "below": self.below}

    def load(self) -> None:
        pass

    def prepare(self, image: Image.Image, text: str) -> DarkSample:
        return DarkSample(torch.from_numpy(np.array(image.convert("L"))))

    def segment(self, batch: Batch) -> list[np.ndarray]:
        return [(own.numpy() < self.below).astype(np.uint8) * 255 for own in batch.pixels]
