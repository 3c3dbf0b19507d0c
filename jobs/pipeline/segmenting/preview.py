"""A contact sheet of masks, to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from PIL import Image, ImageFilter

from jobs.pipeline.errors import SampleError
from jobs.pipeline.shards.images import decode_image, decode_mask
from jobs.pipeline.shards.reading import read_samples
from jobs.pipeline.storage.streams import open_stream

SIDE = 240
"""Pixels of a picture on the sheet."""

COLUMNS = 6

INSIDE, OUTSIDE = (255, 40, 120), (255, 255, 255)
"""The two lines of an outline: one of them shows on any background."""


def contact_sheet(
    shards: Sequence[str], suffix: str, n: int, max_image_pixels: int
) -> Image.Image | None:
    """Outlines of the first masks of each shard, `n` in all, as many of each shard as of another.

    Args:
        shards: URLs.
        suffix: of the members that hold the masks, `mask.png`.

    Returns:
        RGB; None where no sample has such a mask.

    Raises:
        FileNotFoundError, StorageError, DamagedShard: a shard cannot be read.
    """
    pictures: list[Image.Image] = []
    for i, url in enumerate(shards):
        share = -(-(n - len(pictures)) // (len(shards) - i))
        pictures += islice(_outlines(url, suffix, max_image_pixels), share)
    if not pictures:
        return None
    columns = min(COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * SIDE, rows * SIDE))
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        left = column * SIDE + (SIDE - picture.width) // 2
        sheet.paste(picture, (left, row * SIDE + (SIDE - picture.height) // 2))
    return sheet


def _outlines(url: str, suffix: str, max_image_pixels: int) -> Iterator[Image.Image]:
    with open_stream(url) as stream:
        for raw in read_samples(stream, max_image_pixels):
            if suffix not in raw.members:
                continue
            try:
                image = decode_image(raw, max_image_pixels)
                yield outlined(image, decode_mask(raw, max_image_pixels, suffix))
            except SampleError:
                continue  # a mask that came with the sample may be anything


def outlined(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """A small picture with the edge of its mask drawn, and what is outside darkened."""
    scale = (SIDE - 4) / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    picture = np.asarray(image.resize(size, Image.Resampling.BILINEAR)).copy()
    small = Image.fromarray((mask >= 128).astype(np.uint8) * 255).resize(size)
    inside = np.asarray(small) >= 128
    binary = Image.fromarray(inside.astype(np.uint8) * 255)
    shrunk = np.asarray(binary.filter(ImageFilter.MinFilter(3))) > 0
    grown = np.asarray(binary.filter(ImageFilter.MaxFilter(3))) > 0
    picture[~inside] //= 2
    picture[inside & ~shrunk] = INSIDE
    picture[grown & ~inside] = OUTSIDE
    return Image.fromarray(picture)
