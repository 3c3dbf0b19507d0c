"""Real photos with real masks, where they are there."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS = Path(
    os.environ.get("MASC_PHOTOS", Path(__file__).parents[2] / "shared" / "data" / "photos")
)


@dataclass(frozen=True)
class Photo:
    """A photo of a subject, with its segmentation mask."""

    subject: str
    noun: str
    path: Path

    @property
    def mask_path(self) -> Path:
        return self.path.with_suffix(".mask.png")

    @property
    def image(self) -> Image.Image:
        return Image.open(self.path)

    @property
    def mask(self) -> np.ndarray:
        return np.asarray(Image.open(self.mask_path).convert("L"))


WHY_NOT = f"no photos in {PHOTOS}; MASC_PHOTOS names a folder of them"


def are_there() -> bool:
    """Whether this machine has them."""
    return (PHOTOS / "subjects.csv").is_file()


def by_subject() -> dict[str, list[Photo]]:
    """Photos by subject, each subject's own in order."""
    with (PHOTOS / "subjects.csv").open() as file:
        nouns = {row["subject"]: row["class"] for row in csv.DictReader(file)}
    return {
        subject: [Photo(subject, noun, path) for path in sorted((PHOTOS / subject).glob("*.jpg"))]
        for subject, noun in nouns.items()
    }
