"""Images to shards: what `jobs.pack` does, as a function for others to call."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from PIL import Image

from jobs.pipeline.command.settings import setting
from jobs.pipeline.datasets.entries import GENERATION, REFERENCE, Entry, suffix_of
from jobs.pipeline.datasets.manifest import read_manifest
from jobs.pipeline.errors import CallError
from jobs.pipeline.shards.members import JSON_SUFFIX, MASK_SUFFIX
from jobs.pipeline.shards.writing import Sample, write_shard
from jobs.pipeline.storage.filesystem import join, open_filesystem, refuse_memory
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import storage_errors

log = logging.getLogger(__name__)

SHARD_NAMES = {GENERATION: "generations", REFERENCE: "references"}
"""Role of an entry, and the name that its shards begin with."""


@dataclass
class PackConfig:
    manifest: str = setting(help="FILE.csv, .jsonl or .parquet: a row an image")
    out: str = setting(help="directory of the shards, local or a URL")
    kind: Literal["folder"] = setting("folder", "what the manifest describes")
    shard_size: int = setting(1000, "samples a shard")
    overwrite: bool = setting(False, "replace shards that `out` holds")


KINDS: dict[str, Callable[[PackConfig], list[Entry]]] = {
    "folder": lambda config: read_manifest(Path(config.manifest)),
}
"""The data sets that can be packed, by the name that a call gives them."""


@dataclass(frozen=True)
class Written:
    """What was written of one role."""

    samples: int
    shards: int


def pack(config: PackConfig) -> dict[str, Written]:
    """Write the shards of a data set; what was written, by the name of the shards.

    Raises:
        CallError: an entry that cannot be packed, before anything is written; or there are shards
            already.
        StorageError: `out` cannot be written to.
    """
    if config.shard_size < 1:
        raise CallError(f"shard_size={config.shard_size}: expected 1 or more")
    refuse_memory(config.out, "out")
    entries = KINDS[config.kind](config)
    with storage_errors(f"out={redact(config.out)}"):
        return _write_shards(entries, config)


def _write_shards(entries: list[Entry], config: PackConfig) -> dict[str, Written]:
    fs, out = open_filesystem(config.out)
    present = fs.glob(join(out, "*.tar")) if fs.exists(out) else []
    if present and not config.overwrite:
        raise CallError(f"out={redact(config.out)}: holds shards; overwrite=true replaces them")
    for path in present:
        fs.rm(path)
    fs.makedirs(out, exist_ok=True)
    written = {}
    for role, name in SHARD_NAMES.items():
        of_role = [entry for entry in entries if entry.role == role]
        n_shards = 0
        for chunk in _chunks(of_role, config.shard_size):
            with fs.open(join(out, f"{name}-{n_shards:06d}.tar"), "wb") as file:
                write_shard(file, map(_sample, chunk))
            n_shards += 1
        written[name] = Written(len(of_role), n_shards)
        log.info("%d %s in %d shards", len(of_role), name, n_shards)
    return written


def _chunks(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    remaining = iter(entries)
    while chunk := list(islice(remaining, size)):
        yield chunk


def _sample(entry: Entry) -> Sample:
    """The members of an entry; the image's bytes as they are."""
    return entry.key, {
        suffix_of(entry.image): entry.image.read_bytes(),
        MASK_SUFFIX: _mask(entry.mask),
        JSON_SUFFIX: json.dumps(entry.fields, ensure_ascii=False).encode(),
    }


def _mask(path: Path) -> bytes:
    """A mask as PNG: as it is, or converted without loss."""
    if suffix_of(path) == "png":
        return path.read_bytes()
    converted = io.BytesIO()
    with Image.open(path) as image:
        image.convert("L").save(converted, "PNG")
    return converted.getvalue()
