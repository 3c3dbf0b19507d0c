"""`python -m jobs.pack`: makes WebDataset shards from images that lie in folders."""

from __future__ import annotations

import csv
import io
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from webdataset import TarWriter

from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.settings import setting
from jobs.pipeline.errors import CallError
from jobs.pipeline.shards.members import IMAGE_SUFFIXES, JSON_SUFFIX, MASK_SUFFIX
from jobs.pipeline.storage.filesystem import join, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import storage_errors

log = logging.getLogger(__name__)

ROLES = {"generation": "generations", "reference": "references"}
"""Role in the manifest, and the name that its shards begin with."""

REQUIRED = {
    "generation": ("image", "mask", "model", "concept", "prompt"),
    "reference": ("image", "mask", "concept"),
}
NOT_IN_JSON = ("image", "mask", "role", "key")


@dataclass
class PackConfig:
    manifest: str = setting(help="FILE.csv, .jsonl or .parquet: a row an image")
    out: str = setting(help="directory of the shards, local or a URL")
    kind: Literal["folder"] = setting("folder", "what the manifest describes")
    shard_size: int = setting(1000, "samples a shard")
    overwrite: bool = setting(False, "replace shards that `out` holds")


@dataclass(frozen=True)
class Entry:
    """One sample to pack."""

    role: str
    key: str
    image: Path
    mask: Path
    fields: dict[str, Any]
    """What goes into the sample's JSON."""


def pack(config: PackConfig, as_json: bool) -> int:
    """Make shards from a folder of images and a manifest.

    The manifest has a row an image, with the columns image, mask, model, concept, prompt, subject,
    prompt_id, seed and role (generation or reference; generation when there is no such column).
    Paths are relative to the manifest. Further columns are carried along; a column `key` names the
    sample, else its image's path does.
    """
    if config.shard_size < 1:
        raise CallError(f"shard_size={config.shard_size}: expected 1 or more")
    entries = KINDS[config.kind](Path(config.manifest))
    redacted = redact(config.out)
    with storage_errors(f"out={redacted}"):
        written = _write_shards(entries, config)
    if as_json:
        sys.stdout.write(json.dumps({"out": redacted, **written}) + "\n")
    else:
        sys.stdout.write(f"{redacted}\n")
    return EXIT_DONE


def _write_shards(entries: list[Entry], config: PackConfig) -> dict[str, dict[str, int]]:
    """The numbers of samples and shards written, by kind.

    Raises:
        CallError: there are shards already.
    """
    fs, out = open_filesystem(config.out)
    present = fs.glob(join(out, "*.tar")) if fs.exists(out) else []
    if present and not config.overwrite:
        raise CallError(f"out={redact(config.out)}: holds shards; overwrite=true replaces them")
    for path in present:
        fs.rm(path)
    fs.makedirs(out, exist_ok=True)
    written = {}
    for role, name in ROLES.items():
        of_role = [entry for entry in entries if entry.role == role]
        shards = []
        for number, chunk in enumerate(_chunks(of_role, config.shard_size)):
            path = join(out, f"{name}-{number:06d}.tar")
            # A fixed time makes the same images the same bytes; PAX takes names of any length.
            with fs.open(path, "wb") as file, TarWriter(file, mtime=0, format="PAX_FORMAT") as tar:
                for entry in chunk:
                    tar.write(_sample(entry))
            shards.append(path)
        written[name] = {"samples": len(of_role), "shards": len(shards)}
        log.info("%d %s in %d shards", len(of_role), name, len(shards))
    return written


def read_folder(manifest: Path) -> list[Entry]:
    """The entries of a manifest whose paths are relative to it.

    Raises:
        CallError: no such manifest, a column or value missing, a file that is not there, or two
            rows of one key. Nothing is written by then.
    """
    rows = _read_rows(manifest)
    entries: dict[tuple[str, str], Entry] = {}
    for number, row in enumerate(rows, start=1):
        entry = _entry(row, manifest, f"manifest={manifest}: row {number}")
        if (entry.role, entry.key) in entries:
            raise CallError(
                f"manifest={manifest}: row {number}: key {entry.key!r} comes twice; "
                "a column `key` can tell them apart"
            )
        entries[entry.role, entry.key] = entry
    if not entries:
        raise CallError(f"manifest={manifest}: has no rows")
    return list(entries.values())


KINDS: dict[str, Callable[[Path], list[Entry]]] = {"folder": read_folder}


def _read_rows(manifest: Path) -> list[dict[str, Any]]:
    readers: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
        ".csv": _read_csv,
        ".jsonl": _read_jsonl,
        ".parquet": lambda path: pq.read_table(path).to_pylist(),
    }
    if manifest.suffix not in readers:
        raise CallError(f"manifest={manifest}: expected a file of {', '.join(readers)}")
    if not manifest.is_file():
        raise CallError(f"manifest={manifest}: no such file")
    try:
        return readers[manifest.suffix](manifest)
    except (pa.ArrowInvalid, ValueError) as error:
        raise CallError(f"manifest={manifest}: not readable: {error}") from error


def _read_csv(path: Path) -> list[dict[str, Any]]:
    """Every value a text, an empty cell nothing; several references stand between semicolons."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows: list[dict[str, Any]] = [
            {name: value or None for name, value in row.items()} for row in csv.DictReader(file)
        ]
    for row in rows:
        if row.get("references"):
            row["references"] = row["references"].split(";")
    return rows


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def _entry(row: dict[str, Any], manifest: Path, where: str) -> Entry:
    role = row.get("role") or "generation"
    if role not in ROLES:
        raise CallError(f"{where}: role is {role!r}, not {' or '.join(ROLES)}")
    for name in REQUIRED[role]:
        if row.get(name) in (None, ""):
            raise CallError(f"{where}: {name} is missing, which a {role} needs")
    files = {name: manifest.parent / row[name] for name in ("image", "mask")}
    for name, path in files.items():
        if not path.is_file():
            raise CallError(f"{where}: {name}: no such file: {path}")
    if _suffix(files["image"]) not in IMAGE_SUFFIXES:
        raise CallError(f"{where}: image: {row['image']} is not one of {', '.join(IMAGE_SUFFIXES)}")
    fields = {
        name: value for name, value in row.items() if name not in NOT_IN_JSON and value is not None
    }
    if isinstance(fields.get("seed"), str):
        try:
            fields["seed"] = int(fields["seed"])
        except ValueError:
            raise CallError(f"{where}: seed is {fields['seed']!r}, not an integer") from None
    return Entry(role, _key(row), files["image"], files["mask"], fields)


def _key(row: dict[str, Any]) -> str:
    """The sample's key: its own, or its image's path. No dot may stand in the last part."""
    given = row.get("key")
    path = Path(str(given)) if given else Path(row["image"]).with_suffix("")
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    return "/".join([*parts[:-1], parts[-1].replace(".", "_")])


def _suffix(path: Path) -> str:
    return path.suffix.lstrip(".").lower()


def _chunks(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    remaining = iter(entries)
    while chunk := list(islice(remaining, size)):
        yield chunk


def _sample(entry: Entry) -> dict[str, Any]:
    """The members, as webdataset's writer takes them; the image's bytes as they are."""
    return {
        "__key__": entry.key,
        _suffix(entry.image): entry.image.read_bytes(),
        MASK_SUFFIX: _mask(entry.mask),
        JSON_SUFFIX: json.dumps(entry.fields, ensure_ascii=False).encode(),
    }


def _mask(path: Path) -> bytes:
    """A mask as PNG: as it is, or converted without loss."""
    if _suffix(path) == "png":
        return path.read_bytes()
    converted = io.BytesIO()
    with Image.open(path) as image:
        image.convert("L").save(converted, "PNG")
    return converted.getvalue()


def main() -> int:
    """The command line."""
    return run_command("pack", PackConfig, pack, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
