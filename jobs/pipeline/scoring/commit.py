"""Committing what was made of a shard: as its part, or into the part that there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.fingerprint import MASC, Fingerprint, Groups, differing_groups
from jobs.pipeline.run.parts import ConceptDigests, StoredPart, Used
from jobs.pipeline.run.reports import FirstError, RowCounts, kinds_of
from jobs.pipeline.run.rows import ERROR, OK, SKIPPED
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.scoring.gains import Computed, stands, with_gains
from jobs.pipeline.scoring.row import Row
from jobs.pipeline.storage.conditional import Superseded
from jobs.pipeline.storage.redaction import redact

ATTEMPTS = 5
"""Each of them finds that another part has come since the last."""


@dataclass(frozen=True)
class Made:
    """What was made of a shard."""

    computed: Computed
    groups: Groups
    """Fingerprints of what the plan computes."""
    references: Used
    """What the rows were scored against."""
    rows: Sequence[Mapping[str, Any]]
    """Of the part, as far as they are told of."""
    whole: pa.Table | None = None
    """All of a part; None where the rest of it is in the part that there is."""

    @property
    def counts(self) -> RowCounts:
        """The rows by status."""
        return counts_of(row["status"] for row in self.rows)

    @property
    def errors(self) -> dict[str, int]:
        """The samples that could not be scored by this call, by the kind of the reason."""
        if self.whole is None:
            return {}
        return kinds_of(row["error"] for row in self.rows if row["status"] == ERROR)

    @property
    def first_error(self) -> FirstError | None:
        """The first sample that could not be scored by this call, and why."""
        errors = (FirstError(r["key"], r["error"]) for r in self.rows if r["status"] == ERROR)
        return next(errors, None) if self.whole is not None else None


def counts_of(statuses: Iterable[str]) -> RowCounts:
    """How many there are of each."""
    counted = Counter(statuses)
    return RowCounts(counted[OK], counted[SKIPPED], counted[ERROR])


def commit(
    run: RunDirectory,
    shard: Shard,
    part: StoredPart | None,
    made: Made,
    concepts: Mapping[str, ConceptDigests],
) -> None:
    """Write the part of a shard over the one that was read; where that has been written meanwhile,
    join it.

    Args:
        part: as it was read before anything was computed; None where there was none.
        concepts: what the references hold now.

    Raises:
        StorageError: the part has become another; or it changes whenever it is read.
        CommitError: it cannot be written.
    """
    for _ in range(ATTEMPTS):
        table, groups, references = _joined(shard, part, made, concepts)
        if part is not None and table is part.table:
            return  # somebody else did the same
        try:
            run.commit(shard, table, groups, references, over=part)
        except Superseded:
            part = run.read_part(shard)
        else:
            return
    raise StorageError(redact(shard.url), "its part changes whenever it is read")


def used_references(
    rows: Iterable[Row], concepts: Mapping[str, ConceptDigests], masks: Collection[str]
) -> Used:
    """What rows were scored against, by concept; None for one that has no reference."""
    used: dict[str, ConceptDigests | None] = {}
    for row in rows:
        for entry in row.references:
            held = concepts[entry.concept]
            used[entry.concept] = {mask: held[mask] for mask in held if mask in masks}
        own = row.fields.concept
        if own is not None and own not in concepts:
            used[own] = None
    return used


def _joined(
    shard: Shard, part: StoredPart | None, made: Made, concepts: Mapping[str, ConceptDigests]
) -> tuple[pa.Table, Groups, Used]:
    """The part that is to be written."""
    if part is None or part.table is None or not stands(part, shard, concepts):
        if made.whole is None:
            reason = "its part has become another since it was read"
            raise StorageError(redact(shard.url), reason)
        return made.whole, _held(made.groups, made.whole), made.references
    footer = part.footer
    if differences := differing_groups(made.groups, footer.groups):
        raise CallError(
            f"run: the part of {redact(shard.url)} was made meanwhile with another "
            f"configuration: {'; '.join(differences)}"
        )
    table = with_gains(part.table, made.computed)
    references = {**footer.references}
    for concept, held in made.references.items():
        references[concept] = {**(references.get(concept) or {}), **held} if held else None
    return table, {**_held(made.groups, table), **footer.groups}, references


def _held(groups: Groups, table: pa.Table) -> dict[str, Fingerprint]:
    """The groups of which the table has columns."""
    names = table.schema.names
    return {
        group: own for group, own in groups.items() if ("cp" if group == MASC else group) in names
    }
