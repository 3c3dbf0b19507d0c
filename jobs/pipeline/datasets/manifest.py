"""A manifest on disk, a row an image, as entries to pack.

It has the columns image, mask, model, concept, prompt, subject, prompt_id, seed and role
(generation or reference; generation when there is no such column). Paths are relative to it.
Further columns are carried along; a column `key` names the sample, else its image's path does.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.pipeline.datasets.entries import GENERATION, REFERENCE, ROLES, Entry, suffix_of
from jobs.pipeline.errors import CallError
from jobs.pipeline.shards.members import IMAGE_SUFFIXES

REQUIRED = {
    GENERATION: ("image", "mask", "model", "concept", "prompt"),
    REFERENCE: ("image", "mask", "concept"),
}
NOT_IN_JSON = ("image", "mask", "role", "key")


def read_manifest(manifest: Path) -> list[Entry]:
    """The entries of a manifest whose paths are relative to it.

    Raises:
        CallError: no such manifest, a column or value missing, a file that is not there, or two
            rows of one key.
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
    role = row.get("role") or GENERATION
    if role not in ROLES:
        raise CallError(f"{where}: role is {role!r}, not {' or '.join(ROLES)}")
    for name in REQUIRED[role]:
        if row.get(name) in (None, ""):
            raise CallError(f"{where}: {name} is missing, which a {role} needs")
    files = {name: manifest.parent / row[name] for name in ("image", "mask")}
    for name, path in files.items():
        if not path.is_file():
            raise CallError(f"{where}: {name}: no such file: {path}")
    if suffix_of(files["image"]) not in IMAGE_SUFFIXES:
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
