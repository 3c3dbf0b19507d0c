"""A sample on its way to a row of `scores/`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobs.pipeline.run.rows import ERROR, OK
from jobs.pipeline.scoring.batched_pass import Decoded
from jobs.pipeline.scoring.gains import POSITIONS
from jobs.pipeline.scoring.reference_index import ReferenceEntry
from jobs.pipeline.scoring.warnings import NO_VALUE
from jobs.pipeline.shards.fields import GenerationFields


@dataclass
class Row(Decoded):
    """A sample on its way to a row of `scores/`."""

    key: str = field(kw_only=True)
    position: int = field(kw_only=True)
    fields: GenerationFields = field(default_factory=GenerationFields)
    references: list[ReferenceEntry] = field(default_factory=list)
    subject: str | None = None
    is_new: bool = True
    """Whether it is to become a row, and not only to gain columns."""
    at: tuple[int | None, int | None] = (None, None)
    """Offset and length in the shard, in bytes."""
    columns: dict[str, Any] = field(default_factory=dict)
    """What scoring, skipping or failing it adds; `status` comes with the last of it."""
    flags: dict[str, str] = field(default_factory=dict)
    """What is suspicious of its members, by the kinds of `warnings`."""
    notes: dict[int, str] = field(default_factory=dict)
    """What is said of the scores of an `ok` row, by the number of the metric."""
    refused: dict[int, str] = field(default_factory=dict)
    """Why a comparator could not score it, by its number."""

    @property
    def suspicions(self) -> dict[str, str]:
        """What a run counts of it, by the kinds of `warnings`."""
        values = {NO_VALUE: "; ".join(self.refused.values())} if self.refused else {}
        return {**self.flags, **values}

    @property
    def is_over(self) -> bool:
        """Whether it was not scored, by its own fault or by its mask's."""
        return "status" in self.columns

    def end(self, status: str, reason: str) -> None:
        """It is not scored, whatever was computed of it so far."""
        self.columns = {"status": status, "error": reason}

    def refuse(self, number: int, metric: str, reason: str, is_required: bool) -> None:
        """A metric cannot score it: without MaSC there is no new row, without another no value."""
        if is_required and self.is_new:
            self.end(ERROR, reason)
        else:
            self.refused[number] = f"{metric}: {reason}"

    def gained(self) -> tuple[dict[str, Any], list[str]]:
        """What joins a row that there is: values, and what is to be said of them."""
        where = dict(zip(POSITIONS, self.at, strict=True))
        if self.is_over:
            return where, [self.columns["error"]] if self.columns["error"] else []
        said = {**self.notes, **self.refused}
        notes = [*self.flags.values(), *(said[number] for number in sorted(said))]
        return {**self.columns, **where}, notes

    def as_columns(self, shard: str) -> dict[str, Any]:
        """The row."""
        notes = {**self.notes, **self.refused}
        in_order = [*self.flags.values(), *(notes[number] for number in sorted(notes))]
        return {
            "key": self.key,
            "shard": shard,
            "offset": self.at[0],
            "length": self.at[1],
            **vars(self.fields),
            "references": [entry.key for entry in self.references] or self.fields.references,
            "n_references": len(self.references) or None,
            "subject": self.subject or self.fields.subject,
            "status": OK,
            "error": "; ".join(in_order) or None,
            **self.columns,
        }
