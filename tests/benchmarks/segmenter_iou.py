"""Whether a segmenter finds what the photos' own masks show, or no more than chance would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path

import numpy as np
from PIL import Image

from jobs.pipeline.segmenting.config import SegmenterConfig, segmenter_asked
from masc_core.segmenters import segment_image
from tests import photos
from tests.benchmarks.figures import Figure, log
from tests.masc_core.segmenters import checkpoints
from tests.masc_core.segmenters.small import FIRST_NETWORK, TWO_STAGE

SURE = 3.0
"""Standard errors by which masks have to fit their own photos better than others."""


def intersection_over_union(found: np.ndarray, right: np.ndarray) -> float:
    """Of two bool masks of one shape; 1 where both are empty."""
    union = np.count_nonzero(found | right)
    return np.count_nonzero(found & right) / union if union else 1.0


def measure(folder: Path, config: SegmenterConfig) -> list[Figure]:
    """Of a segmenter over all photos; one without a checkpoint has random weights."""
    if not photos.are_there():
        log.warning("skipped: %s", photos.WHY_NOT)
        return []
    if config.name_or_path is None:
        config = _random(folder, config)
    segmenter = segmenter_asked(config)
    segmenter.load()

    def segment(image: Image.Image, text: str) -> np.ndarray:
        return segment_image(segmenter, image, text) > 0

    own = [photo for each in photos.by_subject().values() for photo in each]
    return of_masks(config.name, segment, own)


def _random(folder: Path, config: SegmenterConfig) -> SegmenterConfig:
    def small(name: str) -> str:
        path = folder / f"small-{name}"
        return str(path if path.exists() else checkpoints.WRITERS[name](path))

    log.info("no segmenter.name_or_path: a small checkpoint with random weights")
    sam2 = small("sam2") if config.name in TWO_STAGE else None
    return SegmenterConfig(
        config.name, name_or_path=small(FIRST_NETWORK[config.name]), sam2_name_or_path=sam2
    )


def of_masks(
    name: str,
    segment: Callable[[Image.Image, str], np.ndarray],
    own: Sequence[photos.Photo],
) -> list[Figure]:
    """The mean IoU with the photos' own masks, and with those of the next subject's photos.

    Where the first is not clearly larger, the segmenter has not seen what is in the photo.
    """
    fits, chance, n_empty = [], [], 0
    for number, photo in enumerate(own):
        found = segment(photo.image.convert("RGB"), photo.noun)
        n_empty += not found.any()
        fits.append(intersection_over_union(found, photo.mask > 0))
        other = next(each for each in own[number:] + own[:number] if each.subject != photo.subject)
        shown = Image.fromarray(other.mask).resize(found.shape[::-1], Image.Resampling.NEAREST)
        chance.append(intersection_over_union(found, np.asarray(shown) > 0))
    gain = np.subtract(fits, chance)
    is_seen = gain.mean() > SURE * gain.std(ddof=1) / sqrt(len(gain))
    verdict = "finds its subjects" if is_seen else "no better than chance"
    detail = f"{len(own)} photos, {n_empty} masks empty; {verdict}"
    return [
        Figure(f"{name}: IoU with the photos' masks", float(np.mean(fits)), "", detail=detail),
        Figure("  with those of other subjects", float(np.mean(chance)), ""),
    ]
