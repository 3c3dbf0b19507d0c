"""A manifest on disk, a row an image, as entries to pack.

It has the columns image, mask, model, concept, prompt, subject, prompt_id, seed, references (keys,
or paths of images) and role (generation or reference; generation when there is no such column).
Paths are relative to it. Further columns are carried along; a column `key` names the sample, else
its image's path does.
"""

from __future__ import annotations

import difflib
import logging
from collections import Counter
from pathlib import Path
from typing import Any

from jobs.pipeline.datasets.columns import fields_of, likely_meant, values_meant
from jobs.pipeline.datasets.entries import GENERATION, REFERENCE, Contents, Entry, key_of
from jobs.pipeline.datasets.settings import DatasetConfig
from jobs.pipeline.datasets.tables import read_rows
from jobs.pipeline.errors import CallError

log = logging.getLogger(__name__)


def read_manifest(config: DatasetConfig) -> Contents:
    """The entries of a manifest whose paths are relative to it.

    Raises:
        CallError: no such manifest, or a row that cannot be packed.
    """
    entries = _read(Path(config.manifest or "").expanduser())
    return Contents(entries, roles={entry.role for entry in entries})


def _read(manifest: Path) -> list[Entry]:
    misspelt = _Misspelt()
    entries = []
    try:
        for where, row in read_rows(manifest, "manifest"):
            misspelt.look_at(row, where)
            entries.append(_entry(row, manifest, where))
    finally:
        misspelt.warn()  # also where a row is refused, since it may be for that
    if not entries:
        raise CallError(f"manifest={manifest}: has no rows")
    references = [entry for entry in entries if entry.role == REFERENCE]
    generations = [entry for entry in entries if entry.role == GENERATION]
    if references:
        _warn_of_concepts_without(references, generations)
    elif any("references" in entry.fields for entry in generations):
        log.warning("the manifest has no references: the keys that its rows list are not checked")
    known = _keys_by_name(references)
    for entry in generations:
        if "references" in entry.fields:
            entry.fields["references"] = _listed(entry, known, manifest.parent)
    return entries


def _entry(row: dict[str, Any], manifest: Path, where: str) -> Entry:
    try:
        values = values_meant(row)
    except ValueError as error:
        raise CallError(f"{where}: {error}") from error
    if "image" not in values:
        columns = ", ".join(map(str, row))
        raise CallError(f"{where}: image is missing, which every row needs; there are: {columns}")
    for name in ("image", "mask"):
        if not isinstance(values.get(name, ""), str):
            raise CallError(f"{where}: {name} is {values[name]!r}, not a path")
    image, mask = values["image"], values.get("mask")
    try:
        key = key_of(values.get("key", str(Path(image).with_suffix(""))))
    except ValueError as error:
        raise CallError(f"{where}: key {error}") from error
    folder = manifest.parent
    return Entry(
        *(values["role"], key, folder / image, folder / mask if mask else None),
        *(fields_of(values), where),
    )


class _Misspelt:
    """Columns that are called almost as a known one, in rows that lack it."""

    def __init__(self) -> None:
        self._likely: dict[str, str | None] = {}
        self._n_rows: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def look_at(self, row: dict[str, Any], where: str) -> None:
        """Note them in a row."""
        for name in row:
            if name not in self._likely:
                self._likely[name] = likely_meant(name)
            meant = self._likely[name]
            if meant is not None and meant not in row:
                self._n_rows[name] += 1
                self._first.setdefault(name, where)

    def warn(self) -> None:
        """A line a column."""
        for name, n_rows in self._n_rows.items():
            meant = self._likely[name]
            log.warning(
                "%d rows have a column %r and no %r, which it is not taken for; did you mean that? "
                "The first is %s",
                *(n_rows, name, meant, self._first[name]),
            )


def _keys_by_name(references: list[Entry]) -> dict[str, str]:
    """Keys of references by what a row may call them: the key, or an image that only one has."""
    n_with = Counter(entry.image for entry in references)
    of_images = {str(entry.image): entry.key for entry in references if n_with[entry.image] == 1}
    return of_images | {entry.key: entry.key for entry in references}


def _listed(entry: Entry, references: dict[str, str], folder: Path) -> list[str]:
    """The keys of the references that an entry lists, by key or by path of image.

    Raises:
        CallError: one that is not there, or that comes twice.
    """
    keys: list[str] = []
    for name in entry.fields["references"]:
        try:
            key = key_of(name)
        except ValueError as error:
            raise CallError(f"{entry.where}: references: key {error}") from error
        if references:
            known = references.get(key) or references.get(str(folder / name))
            if known is None:
                nearest = difflib.get_close_matches(key, set(references.values()), 1, 0)[0]
                raise CallError(
                    f"{entry.where}: references: {name!r} is no reference of the manifest; "
                    f"did you mean {nearest!r}?"
                )
            key = known
        if key in keys:
            raise CallError(f"{entry.where}: references: {name!r} comes twice")
        keys.append(key)
    return keys


def _warn_of_concepts_without(references: list[Entry], generations: list[Entry]) -> None:
    """Their generations cannot be scored, unless their references are packed elsewhere."""
    concepts = {str(entry.fields.get("concept")) for entry in references}
    without = [
        entry
        for entry in generations
        if "references" not in entry.fields and str(entry.fields.get("concept")) not in concepts
    ]
    if without:
        log.warning(
            "%d generations are of concepts that no reference of the manifest is of; the first, "
            "%s, is of %r",
            len(without), without[0].where, without[0].fields.get("concept"),
        )  # fmt: skip
