"""A manifest on disk, a row an image, as entries to pack.

It has the columns image, mask, model, concept, prompt, subject, prompt_id, seed, references (keys,
or paths of images) and role (generation or reference; generation when there is no such column).
Paths are relative to it. Further columns are carried along; a column `key` names the sample, else
its image's path does.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from jobs.pipeline.datasets.entries import GENERATION, REFERENCE, ROLES, Entry, key_of
from jobs.pipeline.datasets.tables import read_rows
from jobs.pipeline.errors import CallError

log = logging.getLogger(__name__)

NOT_IN_JSON = ("image", "mask", "role", "key")

LIKE = 0.8
"""How like a known column's name another is taken for a slip: `modle` is, `mode` of `model` too,
`caption` of `prompt` is not."""

LARGEST_EXACT_FLOAT = 2**53
"""From here on a float does not hold every integer: one that became a float is lost."""


def read_manifest(manifest: Path) -> list[Entry]:
    """The entries of a manifest whose paths are relative to it.

    Raises:
        CallError: no such manifest, or a row that cannot be packed.
    """
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
    given = {name: value for name, value in row.items() if value != "" or name not in MEANT}
    role = given.get("role", GENERATION)
    if role not in ROLES:
        raise CallError(f"{where}: role is {role!r}, not {' or '.join(ROLES)}")
    if "image" not in given:
        columns = ", ".join(map(str, row))
        raise CallError(f"{where}: image is missing, which every row needs; there are: {columns}")
    for name in ("image", "mask"):
        if not isinstance(given.get(name, ""), str):
            raise CallError(f"{where}: {name} is {given[name]!r}, not a path")
    values = {}
    for name, value in given.items():
        try:
            values[name] = FIELDS[name](value) if name in FIELDS else value
        except ValueError as error:
            raise CallError(f"{where}: {name} is {value!r}, {error}") from error
    image, mask = values["image"], values.get("mask")
    try:
        key = key_of(values.get("key", str(Path(image).with_suffix(""))))
    except ValueError as error:
        raise CallError(f"{where}: key {error}") from error
    fields = {
        name: value
        for name, value in values.items()
        if name not in NOT_IN_JSON and value is not None
    }
    folder = manifest.parent
    return Entry(role, key, folder / image, folder / mask if mask else None, fields, where)


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
                self._likely[name] = _likely_meant(name)
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


def _likely_meant(name: str) -> str | None:
    """The known column that a name of none is most like, if it is like one."""
    if name in MEANT:
        return None
    plain = re.sub(r"[\W_]+", "_", name.strip().lower())
    nearest = difflib.get_close_matches(plain, sorted(MEANT), 1, LIKE)
    return nearest[0] if nearest else None


def _text(value: Any) -> Any:
    """A number is the text that names it; what is neither is left for the check of all fields."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(_integer_if_it_was_one(value)) if is_number else value


def _text_or_nothing(value: Any) -> Any:
    text = _text(value)
    return None if isinstance(text, str) and not text.strip() else text


def _key_text(value: Any) -> str:
    text = _text(value)
    if not isinstance(text, str):
        raise ValueError("not a text or a number")
    return text


def _seed(value: Any) -> int:
    number = _integer_if_it_was_one(_number_in(value) if isinstance(value, str) else value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError("not an integer")
    return number


def _number_in(text: str) -> int | float | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _integer_if_it_was_one(value: Any) -> Any:
    """2 for 2.0: pandas writes integers so where some are missing."""
    if not isinstance(value, float) or not value.is_integer():
        return value
    if abs(value) >= LARGEST_EXACT_FLOAT:
        raise ValueError("a float that no longer says which integer it was; store it as one")
    return int(value)


def _names(value: Any) -> list[str] | None:
    """Of references: a list, or a text with semicolons between them."""
    given = value.split(";") if isinstance(value, str) else value
    if not isinstance(given, list):
        raise ValueError("not a list of keys")
    return [name for name in (_key_text(each).strip() for each in given) if name] or None


FIELDS: dict[str, Callable[[Any], Any]] = {
    "key": _key_text,
    "model": _text,
    "concept": _text,
    "prompt": _text,
    "subject": _text_or_nothing,
    "prompt_id": _integer_if_it_was_one,
    "seed": _seed,
    "references": _names,
}
"""What is meant by a value of a column, None for nothing.

A ValueError says what the value is not; other columns are carried as they are.
"""

MEANT = {*FIELDS, *NOT_IN_JSON}
"""Columns in which an empty text is nothing."""


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
