"""Samples put into the shards of their roles, one shard after another."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

from jobs.pipeline.datasets.by_concept import concept_of
from jobs.pipeline.datasets.entries import GENERATION, REFERENCE, Entry
from jobs.pipeline.datasets.loading import Loaded
from jobs.pipeline.shards.writing import ShardWriter
from jobs.pipeline.storage.replacement import Replacement

SHARD_NAMES = {GENERATION: "generations", REFERENCE: "references"}
"""Role of an entry, and the name that its shards begin with."""


@dataclass
class Written:
    """What was written of one role."""

    samples: int = 0
    shards: int = 0
    without_mask: int = 0


class ShardsByRole:
    """The shards of each role, begun as they are needed. A context manager."""

    def __init__(
        self,
        replacement: Replacement,
        size: int,
        written: dict[str, Written],
        is_by_concept: bool,
    ) -> None:
        """Nothing is begun yet.

        Args:
            size: samples of a full shard.
            written: by the name of the shards; is kept up to date.
            is_by_concept: whether a full shard of generations waits for its concept's end.
        """
        self._replacement = replacement
        self._size = size
        self._written = written
        self._is_by_concept = is_by_concept
        self._held: dict[str, int] = {}
        """Samples in the last shard of each name."""
        self._concept: str | None = None
        """Of the last generation."""
        self._open: dict[str, tuple[ShardWriter, ExitStack]] = {}

    def __enter__(self) -> ShardsByRole:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for _, files in self._open.values():
            files.close()

    def add(self, entry: Entry, loaded: Loaded) -> None:
        """Write a sample into the shard of its role."""
        name = SHARD_NAMES[entry.role]
        written = self._written[name]
        if self._is_due(name, entry):
            self._begin(name, f"{name}-{written.shards:06d}.tar")
            self._held[name] = 0
            written.shards += 1
        self._held[name] += 1
        self._open[name][0].add(loaded.sample)
        written.samples += 1
        written.without_mask += not loaded.has_mask

    def _is_due(self, name: str, entry: Entry) -> bool:
        """Whether a new shard begins with this entry."""
        is_full = self._held.get(name, self._size) >= self._size
        if not self._is_by_concept or entry.role != GENERATION:
            return is_full
        before, self._concept = self._concept, concept_of(entry)
        return is_full and before != self._concept

    def _begin(self, name: str, file: str) -> None:
        if name in self._open:
            self._open.pop(name)[1].close()
        with ExitStack() as files:
            writer = files.enter_context(
                ShardWriter(files.enter_context(self._replacement.open(file)))
            )
            self._open[name] = writer, files.pop_all()
