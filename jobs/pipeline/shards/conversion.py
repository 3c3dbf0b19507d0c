"""Images and masks as people have them, to what a shard holds: as they are where that will do."""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from jobs.pipeline.errors import SampleError
from jobs.pipeline.shards.images import (
    is_deep,
    mask_values,
    open_member,
    orientation_of,
    undecodable,
    varying_alpha,
)

JPEG_QUALITY = 95
"""Of photos that are turned; one coding more moves a pixel by a level or two."""

CODINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "PNG": ("png", {}),
    "WEBP": ("webp", {"lossless": True, "exact": True}),
    "JPEG": ("jpg", {"quality": JPEG_QUALITY, "subsampling": 0}),
}
"""Suffix and options of each format that is coded anew."""

COLOUR_LEVELS = 16
"""Of 255, between the channels of a pixel: what JPEG makes of a grey one is less."""

MARKS_OF_ORIENTATION = (b"eXIf", b"Raw profile type exif", b"tiff:Orientation")
"""In a PNG. Pillow looks for them behind the pixels, and would decode each image for it."""


class Note(Enum):
    """What is said of a conversion, after the number of files it happened to."""

    DEEP_IMAGE = "16-bit grey images converted to 8 bits, by 257"
    DEEP_MASK = "16-bit masks converted to 8 bits, by 257 where they exceed 255"
    COLOURED_MASK = "masks in colour, of which the grey values count; is each a mask of its image?"
    TURNED = "images with an EXIF orientation turned upright"
    RECODED = f"of the images turned are JPEGs, coded anew at quality {JPEG_QUALITY}"
    NOT_UPRIGHT = "images with an EXIF orientation stored as they are; upright=true turns them"


@dataclass(frozen=True)
class Stored:
    """An image or a mask as a shard is to hold it."""

    suffix: str
    content: bytes
    size: tuple[int, int]
    """(width, height)."""
    notes: tuple[Note, ...] = ()


def stored_image(content: bytes, suffix: str, upright: bool) -> Stored:
    """An image: its bytes as they are, but where it is grey in 16 bits or is to be turned.

    Args:
        content: of the file.
        suffix: of its name.
        upright: turn it by its EXIF orientation, PNG and WebP without loss.

    Raises:
        SampleError: it is no JPEG, PNG or WebP, or cannot be decoded where it has to be.
    """
    with open_member(content, "image") as image:
        is_turned = _may_be_turned(image, content) and orientation_of(image) != 1
        notes = (Note.NOT_UPRIGHT,) if is_turned and not upright else ()
        if not is_deep(image) and not (is_turned and upright):
            return Stored(suffix, content, image.size, notes)
        try:
            return _converted(image, suffix, is_turned and upright, notes)
        except Exception as error:
            raise undecodable("image", error) from error


def stored_mask(content: bytes, suffix: str) -> Stored:
    """A mask: the bytes of a PNG of 8 bits as they are, everything else as such a PNG.

    Grey levels of 16 bits are divided by 257, unless none exceeds 255: those were 8 bits once.

    Raises:
        SampleError: it is no image, cannot be decoded, or has other than whole numbers up to 16
            bits.
    """
    with _open_mask(content, suffix) as image:
        try:
            if not is_deep(image):
                notes = (Note.COLOURED_MASK,) if _is_coloured(image) else ()
                if suffix != "png":
                    content = _coded(Image.fromarray(mask_values(image)), "PNG")
                return Stored("png", content, image.size, notes)
            values = _whole_numbers(image)
            grey = values.astype(np.uint8) if values.max() <= 255 else _by_257(values)
            content = _coded(Image.fromarray(grey), "PNG")
            return Stored("png", content, image.size, (Note.DEEP_MASK,))
        except Exception as error:
            raise undecodable("mask", error) from error


def has_cut_out(content: bytes) -> bool:
    """Whether an image has an alpha channel that cuts something out, and so may be its own mask.

    Raises:
        SampleError: it is no image, or cannot be decoded.
    """
    with _open_mask(content, "") as image:
        try:
            return varying_alpha(image) is not None
        except Exception as error:
            raise undecodable("mask", error) from error


def _is_coloured(image: Image.Image) -> bool:
    """Whether the grey values of a mask stand for colours; where its alpha counts they do not.

    A PNG in grey is not decoded for it.
    """
    if image.mode in ("1", "L", "LA") or varying_alpha(image) is not None:
        return False
    colours = np.asarray(image.convert("RGB")).astype(np.int16)
    return bool((colours.max(axis=2) - colours.min(axis=2)).max() > COLOUR_LEVELS)


def _may_be_turned(image: Image.Image, content: bytes) -> bool:
    return image.format != "PNG" or any(mark in content for mark in MARKS_OF_ORIENTATION)


def _converted(image: Image.Image, suffix: str, turn: bool, notes: tuple[Note, ...]) -> Stored:
    # The first picture of several (MPO, and what is animated), as it is the one that is scored.
    form = image.format if image.format in CODINGS else "JPEG"
    converted = ImageOps.exif_transpose(image) if turn else image
    kept = {name: converted.info.get(name) for name in ("exif", "icc_profile")}
    if turn:
        notes += (Note.TURNED, Note.RECODED) if form == "JPEG" else (Note.TURNED,)
    if is_deep(converted):
        converted = Image.fromarray(_by_257(_whole_numbers(converted)))
        notes += (Note.DEEP_IMAGE,)
    content = _coded(converted, form, **{name: each for name, each in kept.items() if each})
    return Stored(CODINGS[form][0], content, converted.size, notes)


def _whole_numbers(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 65_535:
        raise ValueError("its values are no whole numbers from 0 to 65535; save it in 8 bits")
    return values


def _by_257(values: np.ndarray) -> np.ndarray:
    """16 bits to the nearest of 8."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _open_mask(content: bytes, suffix: str) -> Image.Image:
    """A mask that is called a PNG is as it will be read; another may be in any format of Pillow."""
    if suffix == "png":
        return open_member(content, "mask")
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError as error:
        raise SampleError("mask: cannot identify image file") from error
    except Exception as error:
        raise undecodable("mask", error) from error


def _coded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **CODINGS[form][1], **options)
    return file.getvalue()
