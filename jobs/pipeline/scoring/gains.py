"""What a part lacks, and how it gains it: new columns beside old ones that stay as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from jobs.pipeline.run.parts import ConceptDigests, StoredPart
from jobs.pipeline.run.rows import OK, SCORES_SCHEMA
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.scoring.reference_digests import found_concepts

POSITIONS = ("offset", "length")
"""Columns of a sample that parts of before do not have; they come with whatever else does."""


@dataclass(frozen=True)
class Wanted:
    """What is to be computed of a shard."""

    numbers: tuple[int, ...]
    """Of metrics."""
    statuses: Mapping[str, str] | None = None
    """Of the rows that there are, by key; None where there are none, so that all is computed."""

    def wants(self, key: str) -> bool:
        """Whether there is something to compute of this sample."""
        return self.statuses is None or self.statuses.get(key) == OK


@dataclass(frozen=True)
class Computed:
    """What was computed for a shard."""

    fields: Sequence[pa.Field]
    values: Mapping[str, Mapping[str, Any]]
    """By the sample's key and the column's name."""
    notes: Mapping[str, Sequence[str]]
    """What is to be said of them in `error`, by the sample's key."""


def stands(part: StoredPart | None, shard: Shard, concepts: Mapping[str, ConceptDigests]) -> bool:
    """Whether a part's rows are those of the shard as it is now, so that columns may join them.

    They are not where a concept had no reference then and has one now.
    """
    return (
        part is not None
        and part.table is not None
        and part.footer.source == shard.source
        and not found_concepts(part.footer.references, concepts)
    )


def wanted_of(table: pa.Table, columns_of_metrics: Sequence[Collection[str]]) -> Wanted:
    """What a part that stands lacks."""
    present = set(table.schema.names)
    numbers = [n for n, columns in enumerate(columns_of_metrics) if set(columns) - present]
    keys, statuses = (table[name].to_pylist() for name in ("key", "status"))
    return Wanted(tuple(numbers), dict(zip(keys, statuses, strict=True)))


def with_gains(table: pa.Table, computed: Computed) -> pa.Table:
    """The rows with the columns that they lack, the same table where they lack none; those that
    they have are not touched.

    Rows that are not `ok` have null there. What is said of the new values joins `error`.
    """
    keys = table["key"].to_pylist()
    lacking = [each for each in computed.fields if each.name not in table.schema.names]
    if not lacking:
        return table
    columns = {each.name: table[each.name] for each in table.schema}
    for each in lacking:
        found = [computed.values.get(key, {}).get(each.name) for key in keys]
        columns[each.name] = pa.chunked_array([pa.array(found, each.type)])
    if any(each.name not in POSITIONS for each in lacking):
        errors = zip(keys, table["error"].to_pylist(), strict=True)
        joined = [_joined(error, computed.notes.get(key, ())) for key, error in errors]
        columns["error"] = pa.chunked_array([pa.array(joined, pa.string())])
    types = {each.name: each for each in [*computed.fields, *table.schema]}
    names = [n for n in SCORES_SCHEMA.names if n in columns]
    names += [n for n in columns if n not in SCORES_SCHEMA.names]
    return pa.table(
        [columns[name] for name in names], schema=pa.schema([types[name] for name in names])
    )


def _joined(error: str | None, notes: Sequence[str]) -> str | None:
    said = error or ""
    new = [note for note in dict.fromkeys(notes) if note not in said]
    return "; ".join([*([said] if said else []), *new]) or None
