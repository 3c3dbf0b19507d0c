"""What the image members of a sample hold, decoded."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from jobs.pipeline.errors import SampleError
from jobs.pipeline.shards.fields import _content
from jobs.pipeline.shards.members import IMAGE_SUFFIXES, MASK_SUFFIX, USUAL_MAX_PIXELS, RawSample

Decoded = TypeVar("Decoded")

# The limit is ours and comes with the configuration; Pillow's own is a warning at 89 million.
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "WEBP")
"""Told by the content, whatever the suffix says. Other formats make Pillow start programs (EPS)."""

FIRST_BYTES = {
    "jpg": re.compile(rb"\xff\xd8"),
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
"""Of each format, by the suffix that its files have."""

MAX_JPEG_SCANS = 100
"""Encoders make a dozen. A scan may be a hundred bytes, and costs the decoder a pass over the whole
image: 40 ms at 64 million pixels."""

JPEG_SCAN = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e][\1-\4]")
"""Marker, length, and number of components; in other data it is as good as never met."""


ASPECT_TOLERANCE = 1.02
"""Of a mask and its image: segmenters round to multiples of their patches."""

ORIENTATION = 0x0112
"""The EXIF tag that says how a photo is to be turned; 1 is upright."""


class DepthError(ValueError):
    """More than 8 bits a pixel, and cutting them to 8 would change what they say."""


def decode_image(raw: RawSample, max_pixels: int) -> Image.Image:
    """The sample's image, decoded, in RGB, as it is stored: an EXIF orientation is left in `info`.

    Raises:
        SampleError: no image member or several, not readable, of more than `max_pixels`, or grey
            in 16 bits, which PIL would clip.
    """
    suffixes = [s for s in (*raw.members, *raw.refused) if s in IMAGE_SUFFIXES]
    if len(suffixes) > 1:
        raise SampleError(f"{suffixes[1]}: a second image beside {suffixes[0]}")
    if not suffixes:
        others = f"; the sample also has {', '.join(raw.not_read[:9])}" if raw.not_read else ""
        raise SampleError(f"image: no member of {', '.join(IMAGE_SUFFIXES)}{others}")
    return _decode(raw, suffixes[0], _rgb, max_pixels)


def decode_mask(raw: RawSample, max_pixels: int, suffix: str = MASK_SUFFIX) -> np.ndarray:
    """A mask of the sample as (H, W) uint8, by `mask_values`.

    Raises:
        SampleError: no such member, not readable, of more than `max_pixels`, or of grey levels in
            16 bits.
    """
    return _decode(raw, suffix, mask_values, max_pixels)


def mask_values(image: Image.Image) -> np.ndarray:
    """What a mask's image says, as (H, W) uint8: its alpha channel where that varies, else grey.

    Raises:
        DepthError: 16 bits of grey levels; 0 and 65,535 alone are 0 and 255, and values up to 255
            are what they are in 8 bits.
    """
    alpha = varying_alpha(image)
    if alpha is not None:
        return alpha
    if not is_deep(image):
        return np.asarray(image.convert("L"))
    values = np.asarray(image)
    if values.min() < 0 or (values.max() > 255 and not np.isin(values, (0, 65_535)).all()):
        raise DepthError("grey levels in more than 8 bits, which would be clipped")
    return np.minimum(values, 255).astype(np.uint8)


def varying_alpha(image: Image.Image) -> np.ndarray | None:
    """Its alpha channel, (H, W) uint8, where it has one that is not the same everywhere."""
    channel = image.getbands()[-1]
    if channel not in ("A", "a"):
        return None
    alpha = np.asarray(image.getchannel(channel))
    return alpha if alpha.min() != alpha.max() else None


def is_deep(image: Image.Image) -> bool:
    """Whether it is grey in more than 8 bits, which PIL clips, and does not scale, to 8."""
    return image.mode.startswith(("I", "F"))


def mask_note(mask: np.ndarray, suffix: str = MASK_SUFFIX) -> str | None:
    """What is suspicious of a decoded mask: labels, say, where weights of 255 are meant."""
    largest = int(mask.max())
    if not 1 < largest < 128:
        return None
    return f"{suffix}: no value over {largest} of 255, so no patch is foreground; make it binary"


def orientation_of(image: Image.Image) -> int:
    """How the image is to be turned, by its EXIF, also that of an image which was converted; or 1.

    Where PIL's `exif_transpose` would turn nothing, it is 1.
    """
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - a parser of damaged bytes raises what it likes
        return 1
    return orientation if orientation in range(2, 9) else 1


def orientation_note(image: Image.Image) -> str | None:
    """What is to be said of an image, as `decode_image` gives it, that is not stored upright."""
    orientation = orientation_of(image)
    if orientation == 1:
        return None
    return (
        f"image: scored as it is stored, though its EXIF orientation is {orientation}; "
        "jobs.pack upright=true turns it"
    )


def aspect_problem(image: tuple[int, int], mask: tuple[int, int]) -> str | None:
    """Why a mask of this (width, height) is none of the image's; None where it may be.

    It may where the aspects differ by 2 % or less, or by no more than rounding to whole pixels.
    """
    (width, height), (mask_width, mask_height) = image, mask
    across, down = mask_width / width, mask_height / height
    if max(across, down) <= ASPECT_TOLERANCE * min(across, down):
        return None
    # One scale for both sides, each then rounded up or down.
    if abs(across - down) < 1 / width + 1 / height:
        return None
    return f"{mask_width}x{mask_height} is not of the aspect of its image, {width}x{height}"


def open_member(content: bytes, suffix: str) -> Image.Image:
    """An image whose header is read, and nothing else.

    Raises:
        SampleError: it is no JPEG, PNG or WebP, or one that would take too long to decode.
    """
    if not content:
        raise SampleError(f"{suffix}: 0 bytes")
    if content.startswith(b"\xff\xd8") and len(JPEG_SCAN.findall(content)) > MAX_JPEG_SCANS:
        raise SampleError(f"{suffix}: more than {MAX_JPEG_SCANS} JPEG scans")
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise SampleError(f"{suffix}: cannot identify image file as JPEG, PNG or WebP") from error
    except Exception as error:
        raise undecodable(suffix, error) from error


def suffix_by_content(content: bytes) -> str:
    """The suffix that an image's bytes should have in a file's name; empty for another format."""
    return next((name for name, first in FIRST_BYTES.items() if first.match(content)), "")


def require_whole(content: bytes, suffix: str) -> None:
    """Refuse an image whose pixels cannot all be decoded.

    One of more than `USUAL_MAX_PIXELS` is left to who scores it.

    Raises:
        SampleError: it is cut off or damaged.
    """
    with open_member(content, suffix) as image:
        if image.width * image.height > USUAL_MAX_PIXELS:
            return
        try:
            # A JPEG is decoded at an eighth of its size: all of it is read, and less computed.
            image.draft(image.mode, (1, 1))
            image.load()
        except Exception as error:
            raise undecodable(suffix, error) from error


def _decode(
    raw: RawSample, suffix: str, convert: Callable[[Image.Image], Decoded], max_pixels: int
) -> Decoded:
    with open_member(_content(raw, suffix), suffix) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise SampleError(
                f"{suffix}: {width}x{height} is over limits.max_image_pixels={max_pixels}"
            )
        try:
            return convert(image)
        except DepthError as error:
            raise SampleError(f"{suffix}: {error}; jobs.pack converts it") from error
        except Exception as error:
            raise undecodable(suffix, error) from error


def _rgb(image: Image.Image) -> Image.Image:
    if is_deep(image):
        raise DepthError("grey in 16 bits, which would be clipped to 8")
    return image.convert("RGB")


def undecodable(suffix: str, error: Exception) -> SampleError:
    """The error of a member whose bytes the decoder refuses."""
    # A decoder of damaged bytes raises what it likes, and one image must not end a worker.
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return SampleError(f"{suffix}: cannot be decoded: {reason}")
