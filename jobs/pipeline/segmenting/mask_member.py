"""A mask as a member of a tar."""

from __future__ import annotations

import io
import tarfile

import numpy as np
from PIL import Image

from jobs.pipeline.shards.members import MASK_SUFFIX
from masc_core.mask_names import GIVEN


def mask_suffix(name: str) -> str:
    """Of the member that holds the mask of this name: `mask.png`, or `mask.NAME.png`."""
    return MASK_SUFFIX if name == GIVEN else f"mask.{name}.png"


def mask_png(mask: np.ndarray) -> bytes:
    """A mask (H, W) uint8 as a PNG of one channel; equal masks are equal bytes."""
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return file.getvalue()


def tar_member(name: str, content: bytes) -> bytes:
    """A member with its header and padding, as `shards.writing` writes one: of no time or user."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    header = member.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")
    return header + content + bytes(-len(content) % tarfile.BLOCKSIZE)


END_OF_ARCHIVE = bytes(2 * tarfile.BLOCKSIZE)


def padding_after(size: int) -> bytes:
    """What follows `size` bytes of members: the end mark, and zeros to a whole record."""
    return END_OF_ARCHIVE + bytes(-(size + len(END_OF_ARCHIVE)) % tarfile.RECORDSIZE)
