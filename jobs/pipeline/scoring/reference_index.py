"""Which references a run has, and which of them a generation is scored against."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from jobs.pipeline.errors import CallError, SampleError
from jobs.pipeline.scoring.reference_digests import digests_by_concept

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferenceEntry:
    """A reference as the index knows it."""

    key: str
    shard: str
    concept: str
    subject: str | None
    error: str | None = None
    """Why it could not be encoded; what needs it is an error in turn."""
    warning: str | None = None
    """What is suspicious of its members."""
    fg_fraction: float = 0.0
    """Share of its mask's pixels that are foreground, in [0, 1]."""
    refused: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Why a metric other than MaSC has no use for it, by the metric's name. Not part of what it is:
    a device that is out of memory words it anew each time."""
    model: str | None = None
    """As its JSON names it; a generation has one."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """What it holds, by the name of the mask that it is used with."""


class ReferenceIndex:
    """Which references there are, by key and by concept."""

    def __init__(self, shards: Iterable[Iterable[ReferenceEntry]]) -> None:
        """Index the entries of each reference shard.

        Raises:
            CallError: there are none, or two have the same key.
        """
        self.by_key: dict[str, ReferenceEntry] = {}
        self.shard_number: dict[str, int] = {}
        """Of a reference's shard among the shards, by the reference's key."""
        self._by_concept: dict[str, list[ReferenceEntry]] = {}
        for number, entries in enumerate(shards):
            for entry in entries:
                self._add(entry, number)
        if not self.by_key:
            raise CallError("references=: the shards hold no sample")

    def _add(self, entry: ReferenceEntry, shard_number: int) -> None:
        if entry.key in self.by_key:
            first = self.by_key[entry.key].shard
            raise CallError(
                f"references=: key {entry.key!r} comes twice, in {first} and in {entry.shard}"
            )
        self.by_key[entry.key] = entry
        self.shard_number[entry.key] = shard_number
        self._by_concept.setdefault(entry.concept, []).append(entry)

    def digests(self) -> dict[str, dict[str, str]]:
        """What the references of each concept hold, by the name of the mask."""
        entries = self.by_key.values()
        return digests_by_concept((each.concept, each.key, each.digests) for each in entries)

    def chosen(self, concept: str, keys: list[str] | None) -> list[ReferenceEntry]:
        """What a generation is scored against: the references it lists, or all of its concept.

        Raises:
            SampleError: no such concept or key, or one that could not be encoded.
        """
        if keys is None:
            if concept not in self._by_concept:
                raise SampleError(f"json: concept {concept!r} has no reference")
            entries = self._by_concept[concept]
        else:
            unknown = [key for key in keys if key not in self.by_key]
            if unknown:
                raise SampleError(f"json: references: there is no reference {unknown[0]!r}")
            entries = [self.by_key[key] for key in keys]
        for entry in entries:
            if entry.error is not None:
                raise SampleError(f"reference {entry.key}: {entry.error}")
        return entries


def tell_of(index: ReferenceIndex) -> None:
    """Warn of what is wrong with references, or suspicious."""
    for entry in index.by_key.values():
        if problem := entry.error or entry.warning:
            log.warning("reference %s in %s: %s", entry.key, entry.shard, problem)
    if made := [entry for entry in index.by_key.values() if entry.model]:
        log.warning(
            "%d of %d references name a model in their JSON, as generations do (the first: %s in "
            "%s); is references= a pattern that matches shards of generations?",
            *(len(made), len(index.by_key), made[0].key, made[0].shard),
        )
