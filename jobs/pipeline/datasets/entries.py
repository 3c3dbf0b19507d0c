"""What a data set gives to be packed, whatever it looks like on disk."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from jobs.pipeline.datasets.missing import Missing
from jobs.pipeline.errors import SampleError
from jobs.pipeline.shards.fields import GenerationFields, as_json, read_generation, read_reference
from jobs.pipeline.shards.headers import MAX_NAME_LENGTH
from jobs.pipeline.shards.members import (
    IMAGE_SUFFIXES,
    JSON_SUFFIX,
    MASK_SUFFIX,
    MAX_JSON_MIB,
    RawSample,
)

GENERATION = "generation"

REFERENCE = "reference"

ROLES = (GENERATION, REFERENCE)

UNFIT_FOR_A_KEY = re.compile("[\0-\x1f\x7f\ud800-\udfff]")
"""What a tar cannot hold in a name, or a reader of shards does not find again."""


class ImageSource(Protocol):
    """An image that is read when its turn comes. A `Path` is one."""

    @property
    def suffix(self) -> str:
        """Of its name, with the dot; empty where it has none."""

    def read_bytes(self) -> bytes:
        """Its encoded bytes.

        Raises:
            OSError: it cannot be read.
        """


@dataclass(frozen=True)
class Entry:
    """One sample to pack."""

    role: str
    key: str
    image: ImageSource
    mask: ImageSource | None
    fields: dict[str, Any]
    """What goes into the sample's JSON; `references` are keys."""
    where: str
    """Where it comes from, for messages."""

    def document(self) -> bytes:
        """The sample's JSON."""
        return as_json(self.fields).encode()


@dataclass(frozen=True)
class Contents:
    """What a data set has to pack."""

    entries: Iterable[Entry]
    """Drawn once. A list is checked as a whole before anything is written; of what streams, each
    entry as it comes."""
    roles: Iterable[str]
    """That its entries may have: shards of another role are left as they are."""
    missing: Missing | None = None
    """What it lacks. What turns out unfit while it is packed joins this and is left out; where it
    is None, such an entry ends the call."""
    required: Iterable[str] = ()
    """Roles without an entry of which it is nothing."""


def key_of(name: str) -> str:
    """The key that a name stands for: no dot may stand in its last part.

    Raises:
        ValueError: there is none. The message goes on from "key".
    """
    path = Path(name)
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    if not parts:
        raise ValueError(f"{name!r} names nothing")
    key = "/".join([*parts[:-1], parts[-1].replace(".", "_")])
    if UNFIT_FOR_A_KEY.search(key):
        raise ValueError(f"{name!r} holds a character that no name in a tar can hold")
    if len(f"{key}.{MASK_SUFFIX}") > MAX_NAME_LENGTH:
        raise ValueError(f"{name[:40]!r}... is of {len(name)} characters, which is too long")
    return key


def problem_of(entry: Entry) -> str | None:
    """Why `jobs.evaluate` would refuse an entry, so far as it can be told without its image."""
    try:
        if key_of(entry.key) != entry.key:
            return f"key {entry.key!r}: a dot in its last part would end it"
    except ValueError as error:
        return f"key {error}"
    if suffix_of(entry.image) not in IMAGE_SUFFIXES:
        return f"image: {entry.image} is not one of {', '.join(IMAGE_SUFFIXES)}"
    try:
        _check_document(entry)
    except SampleError as error:
        return str(error).removeprefix(f"{JSON_SUFFIX}: ")
    return None


def _check_document(entry: Entry) -> None:
    document = entry.document()
    if len(document) > MAX_JSON_MIB << 20:
        raise SampleError(f"{len(document)} bytes of JSON are over {MAX_JSON_MIB} MiB")
    raw = RawSample(entry.key, {JSON_SUFFIX: document})
    if entry.role == GENERATION:
        read_generation(raw, GenerationFields())
    else:
        read_reference(raw)


def suffix_of(image: ImageSource) -> str:
    """The suffix of an image's name as a member has it: in lower case, without its dot."""
    return image.suffix.lstrip(".").lower()
