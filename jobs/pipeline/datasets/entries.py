"""What a data set gives to be packed, whatever it looks like on disk."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.pipeline.errors import CallError, SampleError
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


@dataclass(frozen=True)
class Entry:
    """One sample to pack."""

    role: str
    key: str
    image: Path
    mask: Path | None
    fields: dict[str, Any]
    """What goes into the sample's JSON; `references` are keys."""
    where: str
    """Where it comes from, for messages."""

    def document(self) -> bytes:
        """The sample's JSON."""
        return as_json(self.fields).encode()


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


def check_entries(entries: Iterable[Entry]) -> None:
    """Refuse what `jobs.evaluate` would refuse, so far as it can be told without the images.

    Raises:
        CallError: an entry that is not fit to be packed, or two of one role and key.
    """
    known = set()
    for entry in entries:
        if (entry.role, entry.key) in known:
            raise CallError(
                f"{entry.where}: key {entry.key!r} comes twice; a column `key` can tell them apart"
            )
        known.add((entry.role, entry.key))
        if suffix_of(entry.image) not in IMAGE_SUFFIXES:
            raise CallError(
                f"{entry.where}: image: {entry.image} is not one of {', '.join(IMAGE_SUFFIXES)}"
            )
        try:
            _check_document(entry)
        except SampleError as error:
            problem = str(error).removeprefix(f"{JSON_SUFFIX}: ")
            raise CallError(f"{entry.where}: {problem}") from error


def _check_document(entry: Entry) -> None:
    document = entry.document()
    if len(document) > MAX_JSON_MIB << 20:
        raise SampleError(f"{len(document)} bytes of JSON are over {MAX_JSON_MIB} MiB")
    raw = RawSample(entry.key, {JSON_SUFFIX: document})
    if entry.role == GENERATION:
        read_generation(raw, GenerationFields())
    else:
        read_reference(raw)


def suffix_of(path: Path) -> str:
    """The suffix of a file's name as a member has it: in lower case, without its dot."""
    return path.suffix.lstrip(".").lower()
