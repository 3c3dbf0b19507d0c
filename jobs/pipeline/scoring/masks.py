"""The masks of a sample, as the metrics take them: the given one, and members beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from jobs.pipeline.errors import SampleError
from jobs.pipeline.shards.images import aspect_problem, decode_mask
from jobs.pipeline.shards.members import MASK_SUFFIX, RawSample
from masc_core.mask_names import GIVEN
from masc_core.masks import foreground_fraction


@dataclass(frozen=True)
class Masks:
    """What was found of them."""

    by_name: dict[str, np.ndarray]
    """(H, W); the given one is always there."""
    problems: dict[str, str]
    """Why another one cannot be used, by its name. That one is not there at all is the metrics' to
    say."""

    @property
    def given(self) -> np.ndarray:
        """The one that CP and PF are defined by."""
        return self.by_name[GIVEN]


def with_members(
    given: np.ndarray,
    raw: RawSample,
    image: Image.Image,
    names: Sequence[str],
    max_pixels: int,
    least: float,
) -> Masks:
    """The masks of a sample.

    Args:
        given: the one of `mask.png`, decoded.
        image: whose they are.
        names: of the members mask.NAME.png to read.
        least: a further mask that covers this share of its pixels or less is of no use; 0 takes
            all.

    Raises:
        SampleError: the given one is of another aspect than the image.
    """
    _require_aspect(given, image, MASK_SUFFIX)
    masks = Masks({GIVEN: given}, {})
    for name in names:
        suffix = f"mask.{name}.png"
        if suffix not in raw.members and suffix not in raw.refused:
            continue
        try:
            mask = decode_mask(raw, max_pixels, suffix)
            _require_aspect(mask, image, suffix)
        except SampleError as error:
            masks.problems[name] = str(error)
            continue
        covered = foreground_fraction(mask)
        if least > 0 and covered <= least:
            masks.problems[name] = (
                f"{suffix}: foreground is {covered:.4f} of the pixels, not over {least}"
            )
        else:
            masks.by_name[name] = mask
    return masks


def _require_aspect(mask: np.ndarray, image: Image.Image, suffix: str) -> None:
    if problem := aspect_problem(image.size, mask.shape[::-1]):
        raise SampleError(f"{suffix}: {problem}")
