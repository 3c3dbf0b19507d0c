"""What a lower precision costs in accuracy, on real photos."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from masc_core import Generation, MaSC
from masc_core.defaults import Dtype
from tests.benchmarks.figures import Figure, at_least, at_most
from tests.photos import WHY_NOT, Photo, are_there, by_subject

log = logging.getLogger(__name__)

SCENES = ("on the beach", "in the snow", "on a wooden table", "in front of a red door")

Generator = Callable[[Photo, Photo], tuple[Image.Image, np.ndarray]]
"""What stands in for an image generator: an image and its mask, from a photo of the subject that
is asked for and one of another."""


def _half_gone(photo: Photo, _: Photo) -> tuple[Image.Image, np.ndarray]:
    """The left half of the subject painted over in grey."""
    pixels, mask = np.array(photo.image.convert("RGB")), photo.mask
    columns = np.flatnonzero(mask.any(axis=0))
    gone = mask > 0
    gone[:, columns[len(columns) // 2] :] = False
    pixels[gone] = 128
    return Image.fromarray(pixels), mask


def _blurred(photo: Photo, _: Photo) -> tuple[Image.Image, np.ndarray]:
    return photo.image.filter(ImageFilter.GaussianBlur(photo.image.width / 100)), photo.mask


MODELS: tuple[Generator, ...] = (
    lambda photo, _: (photo.image, photo.mask),
    lambda photo, _: (photo.image.convert("L"), photo.mask),
    lambda _, other: (other.image, other.mask),
    _blurred,
    _half_gone,
)


@dataclass(frozen=True)
class Scores:
    """CP and PF, (models, subjects) each."""

    cp: np.ndarray
    pf: np.ndarray


def score(masc: MaSC, subjects: Sequence[Sequence[Photo]], n: int) -> Scores:
    """The first `n` subjects: one photo is the reference, of the next the models make images."""
    scores = np.empty((len(MODELS), n, 2))
    for i, (photos, scene) in enumerate(zip(subjects[:n], cycle(SCENES), strict=False)):
        references = masc.encode_references([photos[0].image], [photos[0].mask])
        noun = photos[0].noun
        prompt = f"a photo of a {noun} {scene}"
        for m, model in enumerate(MODELS):
            image, mask = model(photos[1], subjects[i - 1][1])
            [found] = masc.score_batch([Generation(image, mask, prompt, references, noun)])
            scores[m, i] = found.cp, found.pf
    return Scores(scores[..., 0], scores[..., 1])


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rho; ties, which scores do not have, would count as ordered."""
    ranks = [np.argsort(np.argsort(each.ravel())) for each in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


def on_photos(checkpoint: Path, dtypes: dict[Dtype, int]) -> list[Figure]:
    """Differences of CP and PF to those in float32, and what they do to orders.

    Args:
        dtypes: the precisions, each with the number of subjects to measure it on.
    """
    if not are_there():
        log.warning("skipped: %s", WHY_NOT)
        return []
    subjects = list(by_subject().values())[: max(dtypes.values())]
    full = score(MaSC.from_pretrained(str(checkpoint), device="cpu"), subjects, len(subjects))
    figures = []
    for dtype, n in dtypes.items():
        masc = MaSC.from_pretrained(str(checkpoint), device="cpu", dtype=dtype)
        lowered = score(masc, subjects, n)
        figures += compared("CP", dtype, full.cp[:, :n], lowered.cp)
        figures += compared("PF", dtype, full.pf[:, :n], lowered.pf)
    return figures


def compared(name: str, dtype: str, full: np.ndarray, lowered: np.ndarray) -> list[Figure]:
    """Scores (models, subjects) in float32 and in a lower precision."""
    difference = np.abs(full - lowered)
    orders = [scores.mean(axis=1).argsort() for scores in (full, lowered)]
    order = "the same" if np.array_equal(*orders) else "CHANGED"
    detail = f"mean {difference.mean():.2g}; {full.size} samples; order of {len(full)} models"
    return [
        at_most(
            f"{name} in {dtype} against float32, photos: largest difference",
            *(float(difference.max()), "", 0.01, f"{detail} {order}"),
        ),
        at_least("  Spearman's rho", rank_correlation(full, lowered), "", 0.999),
    ]
