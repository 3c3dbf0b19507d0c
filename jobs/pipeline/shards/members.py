"""Which members of a tar a sample is made of, and how large they may be."""

from __future__ import annotations

from dataclasses import dataclass, field

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp")

MASK_SUFFIX = "mask.png"

JSON_SUFFIX = "json"

BYTES_A_PIXEL = 4
"""Of RGBA without compression: an encoded image that takes more is none."""

USUAL_MAX_PIXELS = 64_000_000
"""What a call does not decode beyond, unless it says otherwise: `limits.max_image_pixels`."""

MAX_JSON_MIB = 16


@dataclass
class RawSample:
    """The undecoded members of one sample."""

    key: str
    members: dict[str, bytes] = field(default_factory=dict)
    """By suffix in lower case: `jpg`, `mask.png`, `json`, `mask.NAME.png`."""
    refused: dict[str, str] = field(default_factory=dict)
    """By suffix, why a member was not read into memory."""
    not_read: list[str] = field(default_factory=list)
    """Suffixes that are no image, mask or JSON."""
    offset: int | None = None
    """Of its first member's header in the tar, in bytes; None in a compressed one."""
    length: int | None = None
    """From there to the end of its last member."""
    problem: str | None = None
    """Why the sample cannot be scored whatever its members hold."""


def is_read(suffix: str) -> bool:
    """Whether a member of this suffix is an image, a mask or JSON."""
    is_mask = suffix.startswith("mask.") and suffix.endswith(".png")
    return is_mask or suffix == JSON_SUFFIX or suffix in IMAGE_SUFFIXES
