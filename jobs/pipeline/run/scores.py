"""The rows of one or several runs: the one way in which anything but a worker reads `scores/`.

1. List the parts of each run, and read their footers: columns, fingerprints, source.
2. Columns are matched by name over all parts; one that a part lacks is null in its rows.
3. The rows are read into an Arrow table, or handed to DuckDB as local files.
4. A part that has changed under the reader is opened anew, once: what is read of it is of one
   version.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.run.fingerprint import FORMAT, groups_of
from jobs.pipeline.run.parts import FOOTER_KEY
from jobs.pipeline.run.rows import SCORES_SCHEMA
from jobs.pipeline.storage.filesystem import absolute, is_local, join, open_filesystem
from jobs.pipeline.storage.listing import file_of
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import reason_of, with_retries
from jobs.pipeline.storage.versions import Version, version_at

log = logging.getLogger(__name__)

ALWAYS = ("key", "model", "concept", "status")
"""Columns that every part has; whatever else is asked for may be missing."""
NOT_SCORES = frozenset({"fg_fraction"})
"""Columns of float64 that say something of a sample, and not how good it is."""
PARTS_AT_ONCE = 16
KNOWN_FORMATS = {str(number + 1) for number in range(FORMAT)}
_PATTERN = re.compile(r"[*?\[\\]")
"""Characters in a path for which DuckDB takes it for a pattern."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Part:
    """One committed shard of a run, as it was when it was opened."""

    run: str
    """URL of its run, without credentials."""
    fs: AbstractFileSystem = field(repr=False)
    path: str
    version: Version
    schema: pa.Schema = field(repr=False)
    """Names are text in it, however a writer stored them."""
    n_rows: int
    footer: dict[str, Any] = field(repr=False)
    """What its writer says of it, `fingerprint` and `source`; empty where it says nothing."""

    @property
    def shard_id(self) -> str:
        """Of the shard whose rows it holds."""
        return self.path.rpartition("/")[2].removesuffix(".parquet")

    @property
    def fingerprints(self) -> dict[str, dict[str, Any]]:
        """By group of columns, as far as its footer says. One from before groups is of `masc`."""
        return groups_of(self.footer.get("fingerprint"), self.footer.get("format", 1))

    def __str__(self) -> str:
        return join(self.run, "scores", f"{self.shard_id}.parquet")

    def has_changed(self) -> bool:
        """Whether another version of it, or none, is there now."""
        self.fs.invalidate_cache(self.path.rpartition("/")[0])
        try:
            return version_at(self.fs, self.path, str(self)) != self.version
        except FileNotFoundError:
            return True


@dataclass(frozen=True)
class Scores:
    """The rows of one or several runs."""

    parts: tuple[Part, ...]
    available: pa.Schema
    """Every column that some part has."""
    asked: tuple[str, ...] | None
    """The columns that are read beside `ALWAYS`; None reads all."""

    @cached_property
    def schema(self) -> pa.Schema:
        """Of what is read. What a new run has is of its type there, also where no part has it."""
        names = self.available.names if self.asked is None else [*ALWAYS, *self.asked]
        types = {each.name: each.type for each in (*self.available, *SCORES_SCHEMA)}
        return pa.schema({name: types.get(name, pa.float64()) for name in names})

    @property
    def n_rows(self) -> int:
        """Of all parts together."""
        return sum(part.n_rows for part in self.parts)

    @property
    def score_columns(self) -> list[str]:
        """`cp`, `pf`, and the name of every further figure of a sample that some part has."""
        figures = [each.name for each in self.available if each.type == pa.float64()]
        return list(dict.fromkeys(["cp", "pf", *(n for n in figures if n not in NOT_SCORES)]))

    def n_parts_with(self, column: str) -> int:
        """In how many parts there is such a column."""
        return sum(column in part.schema.names for part in self.parts)

    def select(self, columns: Iterable[str]) -> Scores:
        """The same rows, of which `ALWAYS` and these columns are read."""
        return replace(self, asked=tuple(columns))

    def without(self, parts: Iterable[Part]) -> Scores:
        """The rows of the other parts."""
        gone = set(map(str, parts))
        return _of_parts([part for part in self.parts if str(part) not in gone], self.asked)

    def table(self) -> pa.Table:
        """The rows, in the order of the parts. Memory: all of them.

        Raises:
            StorageError: a part cannot be read, or changed twice while it was read.
        """
        with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
            tables = list(pool.map(lambda part: _read(part, self.schema), self.parts))
        return pa.concat_tables([self.schema.empty_table(), *tables])

    def query(self, ask: Callable[[str], Answer]) -> Answer:
        """The answer of `ask(source)`, from parts that stood still meanwhile.

        `source` is an SQL SELECT for DuckDB of the columns and `filename`, which tells parts apart.
        It reads local parts where they lie, as often as it is run; parts that lie elsewhere are
        brought near first, and so are all when a local one has changed, whereupon `ask` is called
        once more.

        Raises:
            StorageError: a part cannot be brought near, or changed twice while it was.
        """
        with tempfile.TemporaryDirectory(prefix="scores-") as folder:
            try:
                answer = ask(self._source(Path(folder), where_they_lie=True))
            except Exception:  # whatever it was: the files may have changed under it
                if not self._have_changed():
                    raise
            else:
                if not self._have_changed():
                    return answer
        log.warning("parts have changed while they were read; they are read again")
        with tempfile.TemporaryDirectory(prefix="scores-") as folder:
            return ask(self._source(Path(folder), where_they_lie=False))

    def _have_changed(self) -> bool:
        """Whether a part that is read where it lies has."""
        local = [part for part in self.parts if is_local(part.fs)]
        with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
            return any(pool.map(Part.has_changed, local))

    def _source(self, folder: Path, where_they_lie: bool) -> str:
        """The SELECT; what has to be brought near is written to `folder`."""

        def near(numbered: tuple[int, Part]) -> tuple[Path, pa.Schema]:
            number, part = numbered
            is_near = where_they_lie and is_local(part.fs)
            if is_near and not _PATTERN.search(part.path):
                return Path(part.path), part.schema
            place = folder / str(number) / _PATTERN.sub("_", f"{part.shard_id}.parquet")
            place.parent.mkdir()
            if is_near:
                place.symlink_to(part.path)
                return place, part.schema
            pq.write_table(_read(part, self.schema), place)
            return place, self.schema

        with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
            files = list(pool.map(near, enumerate(self.parts)))
        return _select(files, self.schema)


def open_scores(runs: Sequence[str], columns: Sequence[str] | None = None) -> Scores:
    """The rows of `runs` together, of which `ALWAYS` and `columns` are read; None asks for all.

    Only `scores/` is needed. Parts of different fingerprints or formats, and parts that say nothing
    of theirs, are a warning.

    Raises:
        CallError: there are no parts, a part is not one, or a run is named twice.
        StorageError: the parts cannot be listed or their footers not read.
    """
    places: set[str] = set()
    opened: list[Part] = []
    for run in runs:
        place = file_of(redact(absolute(run)).rstrip("/"))
        if place in places:
            raise CallError(f"run={redact(run)}: given twice")
        places.add(place)
        fs, paths = _list_parts(run)
        with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
            opened += pool.map(lambda path, fs=fs, run=run: _open(redact(run), fs, path), paths)
    _warn_of_differences(opened, ", ".join(redact(run) for run in runs))
    return _of_parts(opened, None if columns is None else tuple(columns))


def _of_parts(parts: Sequence[Part], asked: tuple[str, ...] | None) -> Scores:
    schemas = list(dict.fromkeys(part.schema for part in parts))
    try:
        available = pa.unify_schemas([pa.schema([]), *schemas], promote_options="permissive")
    except pa.ArrowException as error:
        raise CallError(f"{parts[0]} and others do not go together: {error}") from error
    return Scores(tuple(parts), available, asked)


def _list_parts(run: str) -> tuple[AbstractFileSystem, list[str]]:
    fs, path = open_filesystem(run)
    directory, redacted = join(path, "scores"), redact(run)
    # Other processes wrote the parts; a listing kept from before would miss some.
    fs.invalidate_cache(directory)
    try:
        names = with_retries(redacted, lambda: fs.ls(directory, detail=False))
    except FileNotFoundError:
        names = []
    except NotImplementedError as error:
        raise CallError(f"run={redacted}: its scores/ cannot be listed: {error!r}") from error
    parts = sorted(
        name
        for name in names
        if name.endswith(".parquet") and not name.rpartition("/")[2].startswith(".")
    )
    if not parts:
        raise CallError(f"run={redacted}: nothing scored there, no scores/*.parquet")
    return fs, parts


def _open(run: str, fs: AbstractFileSystem, path: str) -> Part:
    """Read the footer of a part."""
    shown = join(run, "scores", path.rpartition("/")[2])

    def read_footer() -> tuple[Version, pq.FileMetaData]:
        version = version_at(fs, path, shown, attempts=1)
        with fs.open(path, "rb") as file:
            return version, pq.read_metadata(file)

    try:
        version, metadata = with_retries(shown, read_footer)
        written = metadata.schema.to_arrow_schema()
    except (FileNotFoundError, pa.ArrowException) as error:
        raise CallError(f"{shown}: not readable as Parquet: {error}") from error
    schema = pa.schema([pa.field(each.name, _plain(each.type)) for each in written])
    if missing := set(ALWAYS) - set(schema.names):
        raise CallError(f"{shown}: not a part of scores/: no column {min(missing)!r}")
    try:
        footer = json.loads((metadata.metadata or {})[FOOTER_KEY])
    except (KeyError, ValueError):
        footer = {}
    known = footer if isinstance(footer, dict) else {}
    return Part(run, fs, path, version, schema, metadata.num_rows, known)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of a column's values, however a writer chose to store them."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind


def _warn_of_differences(parts: Sequence[Part], shown: str) -> None:
    """One line for each way in which the scores of `parts` may not compare."""
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for part in parts:
        for group, found in part.fingerprints.items():
            groups.setdefault(group, {})[json.dumps(found, sort_keys=True)] = found
    for group, known in groups.items():
        if len(known) > 1:
            keys = dict.fromkeys(key for found in known.values() for key in found)
            differ = [k for k in keys if len({repr(found.get(k)) for found in known.values()}) > 1]
            log.warning(
                "run=%s: its parts have %d different fingerprints of %s (%s); their scores may not "
                "compare",
                shown, len(known), group, ", ".join(differ),
            )  # fmt: skip
    silent = sum(not part.fingerprints for part in parts)
    if silent:
        log.warning(
            "run=%s: %d of %d parts have no fingerprint; whether their scores compare is unknown",
            shown, silent, len(parts),
        )  # fmt: skip
    if odd := {str(part.footer.get("format", 1)) for part in parts} - KNOWN_FORMATS:
        listed = ", ".join(sorted(odd))
        log.warning(
            "run=%s: parts of a format that is not known here: %s; a newer version wrote them",
            shown, listed,
        )  # fmt: skip
    if differ := _differing_references(parts):
        log.warning(
            "run=%s: %d concepts were scored against different references (the first: %s); their "
            "scores may not compare",
            shown, len(differ), differ[0],
        )  # fmt: skip


def _differing_references(parts: Sequence[Part]) -> list[str]:
    """The concepts whose references, of one mask, were not the same in all parts."""
    known: dict[tuple[str, str], str] = {}
    differ = set()
    for part in parts:
        references = part.footer.get("references")
        for concept, held in (references if isinstance(references, dict) else {}).items():
            for mask, digest in (held or {}).items():
                if known.setdefault((concept, mask), digest) != digest:
                    differ.add(concept)
    return sorted(differ)


def _read(part: Part, schema: pa.Schema) -> pa.Table:
    """The rows of one version of `part`; where it has changed since, of the version of now."""
    failed: Exception | None = None
    for _ in range(2):
        try:
            table = with_retries(str(part), partial(_columns, part, schema))
            if not part.has_changed():
                return table
        except (FileNotFoundError, StorageError, pa.ArrowException) as error:
            if not part.has_changed():
                raise StorageError(str(part), reason_of(error)) from error
            failed = error
        part = _open(part.run, part.fs, part.path)
    raise StorageError(str(part), "changed twice while it was read") from failed


def _columns(part: Part, schema: pa.Schema) -> pa.Table:
    present = [name for name in schema.names if name in part.schema.names]
    with part.fs.open(part.path, "rb") as file:
        table = pq.read_table(file, columns=present)
    nothing = pa.nulls(table.num_rows)
    columns = [table[name] if name in present else nothing for name in schema.names]
    return pa.table(
        [column.cast(each.type) for column, each in zip(columns, schema, strict=True)],
        schema=schema,
    )


def _select(files: Sequence[tuple[Path, pa.Schema]], schema: pa.Schema) -> str:
    """One SELECT of `schema` and `filename` over `files`, those of equal columns read together."""
    alike: dict[tuple[pa.DataType | None, ...], list[Path]] = {}
    for path, present in files:
        kinds = tuple(
            present.field(name).type if name in present.names else None for name in schema.names
        )
        alike.setdefault(kinds, []).append(path)
    selects = []
    for kinds, paths in alike.items():
        columns = ", ".join(
            f"{_cast(each, is_there=kind is not None)} AS {quoted(each.name)}"
            for kind, each in zip(kinds, schema, strict=True)
        )
        listed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
        selects.append(
            f"SELECT {columns}, filename FROM read_parquet([{listed}], filename = true, "
            "hive_partitioning = false)"
        )
    return " UNION ALL ".join(selects)


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _cast(wanted: pa.Field, is_there: bool) -> str:
    source, kind = quoted(wanted.name) if is_there else "NULL", _sql_type(wanted.type)
    return source if kind is None else f"CAST({source} AS {kind})"


def _sql_type(kind: pa.DataType) -> str | None:
    """DuckDB's name of a type that a new run has; None of others, which are read as they are."""
    if pa.types.is_list(kind):
        of = _sql_type(kind.value_type)
        return None if of is None else f"{of}[]"
    names = {
        pa.string(): "VARCHAR",
        pa.bool_(): "BOOLEAN",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.float32(): "FLOAT",
        pa.float64(): "DOUBLE",
    }
    return names.get(kind)
