"""What the image members of a sample hold, decoded."""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image, UnidentifiedImageError

from jobs.pipeline.errors import SampleError
from jobs.pipeline.shards.fields import _content
from jobs.pipeline.shards.members import IMAGE_SUFFIXES, MASK_SUFFIX, RawSample

# The limit is ours and comes with the configuration; Pillow's own is a warning at 89 million.
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "WEBP")
"""Told by the content, whatever the suffix says. Other formats make Pillow start programs (EPS)."""

MAX_JPEG_SCANS = 100
"""Encoders make a dozen. A scan may be a hundred bytes, and costs the decoder a pass over the whole
image: 40 ms at 64 million pixels."""

JPEG_SCAN = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e][\1-\4]")
"""Marker, length, and number of components; in other data it is as good as never met."""


def decode_image(raw: RawSample, max_pixels: int) -> Image.Image:
    """The sample's image, decoded, in RGB.

    Raises:
        SampleError: no image member or several, not readable, or of more than `max_pixels`.
    """
    suffixes = [s for s in (*raw.members, *raw.refused) if s in IMAGE_SUFFIXES]
    if len(suffixes) > 1:
        raise SampleError(f"{suffixes[1]}: a second image beside {suffixes[0]}")
    if not suffixes:
        others = f"; the sample also has {', '.join(raw.not_read[:9])}" if raw.not_read else ""
        raise SampleError(f"image: no member of {', '.join(IMAGE_SUFFIXES)}{others}")
    return _decode(raw, suffixes[0], "RGB", max_pixels)


def decode_mask(raw: RawSample, max_pixels: int, suffix: str = MASK_SUFFIX) -> np.ndarray:
    """A mask of the sample as (H, W) uint8, grey levels as PIL converts them.

    Raises:
        SampleError: no such member, not readable, or of more than `max_pixels`.
    """
    return np.asarray(_decode(raw, suffix, "L", max_pixels))


def _decode(raw: RawSample, suffix: str, mode: str, max_pixels: int) -> Image.Image:
    content = _content(raw, suffix)
    if not content:
        raise SampleError(f"{suffix}: 0 bytes")
    if content.startswith(b"\xff\xd8") and len(JPEG_SCAN.findall(content)) > MAX_JPEG_SCANS:
        raise SampleError(f"{suffix}: more than {MAX_JPEG_SCANS} JPEG scans")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise SampleError(
                    f"{suffix}: {width}x{height} is over limits.max_image_pixels={max_pixels}"
                )
            return image.convert(mode)
    except SampleError:
        raise
    except UnidentifiedImageError as error:
        raise SampleError(f"{suffix}: cannot identify image file as JPEG, PNG or WebP") from error
    except Exception as error:
        # A decoder of damaged bytes raises what it likes, and one image must not end a worker.
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise SampleError(f"{suffix}: cannot be decoded: {reason}") from error
