"""A part as a file: its rows, and the footer that says what they were made from.

A part is written again when it gains columns, and only over the version that was read: a worker of
a driver that is dead may still write, and what it did not know of must not go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from jobs.pipeline.run.fingerprint import FORMAT, Groups, groups_of
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.conditional import write_over
from jobs.pipeline.storage.retry import with_retries
from jobs.pipeline.storage.versions import Version, read_versioned

FOOTER_KEY = b"masc"
"""Key of the part's own metadata in its Parquet footer: JSON, {"format", "fingerprint",
"references", "source"}."""

ConceptDigests = Mapping[str, str]
"""What the references of a concept hold, by the name of the mask that they were used with."""

Used = Mapping[str, ConceptDigests | None]
"""By concept, what rows were scored against; None where the concept had no reference."""


@dataclass(frozen=True)
class Footer:
    """What a part says of itself."""

    groups: Groups
    """Fingerprints of the columns that it holds."""
    source: Mapping[str, Any]
    """URL, size and version tag of the shard that it was made from."""
    references: Used = field(default_factory=dict)
    all_references: str | None = None
    """In format 1, one digest of all references that the run then had."""

    def to_json(self) -> str:
        """As it is written, in the present format."""
        return json.dumps(
            {
                "format": FORMAT,
                "fingerprint": self.groups,
                "references": self.references,
                "source": self.source,
            }
        )

    @classmethod
    def parse(cls, metadata: Mapping[bytes, bytes] | None) -> Footer:
        """From a Parquet file's metadata; empty where that says nothing of use."""
        try:
            found = json.loads((metadata or {}).get(FOOTER_KEY, b"{}"))
        except ValueError:
            found = {}
        if not isinstance(found, dict):
            found = {}
        fingerprint, format_version = found.get("fingerprint"), found.get("format", 1)
        is_old = format_version == 1 and isinstance(fingerprint, dict)
        old = fingerprint.get("references") if is_old and fingerprint else None
        references, source = found.get("references"), found.get("source")
        return cls(
            groups_of(fingerprint, format_version),
            source if isinstance(source, dict) else {},
            references if isinstance(references, dict) else {},
            old if isinstance(old, str) else None,
        )


@dataclass(frozen=True)
class PartState:
    """What a part holds, as its footer tells."""

    columns: frozenset[str]
    footer: Footer

    def is_of(self, shard: Shard) -> bool:
        """Whether it was made from this version of the shard."""
        return self.footer.source == shard.source


@dataclass(frozen=True)
class StoredPart:
    """A part that was read whole."""

    version: Version
    table: pa.Table | None
    """None where the file is no Parquet: its writer's storage is not as atomic as promised."""
    footer: Footer


def read_state(fs: AbstractFileSystem, path: str) -> PartState | None:
    """What the part at `path` holds; None where there is none, or what is there is no Parquet.

    Raises:
        StorageError: it cannot be read.
    """

    def read() -> PartState:
        with fs.open(path, "rb") as file:
            metadata = pq.read_metadata(file)
        names = frozenset(metadata.schema.to_arrow_schema().names)
        return PartState(names, Footer.parse(metadata.metadata))

    try:
        return with_retries(path, read)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None


def read_whole(fs: AbstractFileSystem, path: str) -> StoredPart | None:
    """The part at `path`, of one version; None where there is none.

    Raises:
        StorageError: it cannot be read, or changes each time it is.
    """

    try:
        version, content = read_versioned(fs, path)
    except FileNotFoundError:
        return None
    try:
        table = pq.read_table(pa.BufferReader(content))
    except pa.ArrowInvalid:
        return StoredPart(version, None, Footer.parse(None))
    return StoredPart(version, table, Footer.parse(table.schema.metadata))


def write(
    fs: AbstractFileSystem, path: str, table: pa.Table, footer: Footer, over: Version | None
) -> None:
    """Make `path` hold these rows, in one step, if it is still of version `over` (None: not there).

    Raises:
        Superseded: it is not.
        StorageError: it cannot be written.
    """
    buffer = pa.BufferOutputStream()
    described = table.replace_schema_metadata({FOOTER_KEY: footer.to_json()})
    pq.write_table(described, buffer, compression="zstd")
    write_over(fs, path, buffer.getvalue().to_pybytes(), over)
