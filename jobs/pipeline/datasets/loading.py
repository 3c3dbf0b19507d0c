"""An entry's image and mask, read and brought to what a shard holds."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.pipeline.datasets.entries import Entry, ImageSource, suffix_of
from jobs.pipeline.errors import SampleError
from jobs.pipeline.shards.conversion import (
    Note,
    Stored,
    has_cut_out,
    stored_image,
    stored_mask,
)
from jobs.pipeline.shards.images import aspect_problem, require_whole
from jobs.pipeline.shards.members import JSON_SUFFIX, MASK_SUFFIX
from jobs.pipeline.shards.writing import tar_of_sample


@dataclass(frozen=True)
class Loaded:
    """What a shard is to hold of an entry."""

    sample: bytes
    """Its piece of the tar."""
    has_mask: bool
    notes: tuple[Note, ...]
    """What is said of its files."""
    mask_problem: str | None = None
    """Why its mask was left out, where it has one that is of no use."""


@dataclass(frozen=True)
class Pair:
    """An image and its mask as a shard is to hold them."""

    image: Stored
    mask: Stored | None
    mask_problem: str | None = None


def load(entry: Entry, upright: bool) -> Loaded:
    """An entry's sample.

    Raises:
        SampleError: an image or mask that could not be scored, or that do not fit each other.
    """
    pair = load_pair(entry.image, entry.mask, upright, decodes=False)
    if pair.mask_problem:
        raise SampleError(pair.mask_problem)
    return _loaded(entry, pair)


def load_what_is_sound(entry: Entry, upright: bool) -> Loaded:
    """An entry's sample, without its mask where that is of no use; both have been decoded.

    Raises:
        SampleError: an image that could not be scored.
    """
    return _loaded(entry, load_pair(entry.image, entry.mask, upright, decodes=True))


def _loaded(entry: Entry, pair: Pair) -> Loaded:
    members = {pair.image.suffix: pair.image.content, JSON_SUFFIX: entry.document()}
    notes = pair.image.notes
    if pair.mask is not None:
        members[MASK_SUFFIX] = pair.mask.content
        notes += pair.mask.notes
    sample = tar_of_sample(entry.key, members)
    return Loaded(sample, pair.mask is not None, notes, pair.mask_problem)


def load_pair(image: ImageSource, mask: ImageSource | None, upright: bool, decodes: bool) -> Pair:
    """An image and its mask.

    Args:
        upright: turn the image by its EXIF orientation.
        decodes: find out whether all their pixels are there, which takes most of the time.

    Raises:
        SampleError: of the image; what is wrong with the mask is in the answer.
    """
    content = _content(image, "image")
    stored = stored_image(content, suffix_of(image), upright)
    if decodes:
        require_whole(stored.content, "image")
    if mask is None:
        return Pair(stored, None)
    try:
        return Pair(stored, _load_mask(mask, content, stored, decodes))
    except SampleError as error:
        return Pair(stored, None, str(error))


def image_problem(image: ImageSource) -> str | None:
    """Why an image cannot be read to its last pixel; None where it can."""
    try:
        load_pair(image, None, upright=False, decodes=True)
    except SampleError as error:
        return str(error)
    return None


def _load_mask(mask: ImageSource, of_image: bytes, image: Stored, decodes: bool) -> Stored:
    content = _content(mask, "mask")
    if content == of_image and not has_cut_out(of_image):
        raise SampleError("mask: is the image itself, and that has no alpha channel to be one")
    stored = stored_mask(content, suffix_of(mask))
    if decodes:
        require_whole(stored.content, "mask")
    if problem := aspect_problem(image.size, stored.size):
        is_turned = Note.NOT_UPRIGHT in image.notes
        cure = "; upright=true turns the image by its EXIF orientation" if is_turned else ""
        raise SampleError(f"mask: {problem}{cure}")
    return stored


def _content(source: ImageSource, member: str) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise SampleError(f"{member}: {error.strerror or error}: {source}") from error
