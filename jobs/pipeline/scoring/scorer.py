"""The way of a shard: URL, samples, batches of one bucket, scores, rows, committed part.

Knows nothing of Ray: a worker holds a `ShardScorer` and calls it.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from jobs.pipeline.errors import DamagedShard, SampleError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.reports import RowCounts, ShardReport, Timings
from jobs.pipeline.run.rows import ERROR, OK, SKIPPED, scores_schema
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.scoring.batched_pass import BatchedPass, Decoded, Work
from jobs.pipeline.scoring.masks import decode_masks
from jobs.pipeline.scoring.plan import InputAnswer, ScoringPlan, SharedReferences
from jobs.pipeline.scoring.reference_encoder import ReferenceEncoder
from jobs.pipeline.scoring.reference_index import ReferenceEntry
from jobs.pipeline.scoring.reference_store import ReferenceStore, Stored
from jobs.pipeline.scoring.warnings import MASK, NO_VALUE, ORIENTATION, warnings_of
from jobs.pipeline.shards.fields import GenerationFields, read_generation
from jobs.pipeline.shards.images import decode_image, mask_note, orientation_note
from jobs.pipeline.shards.members import RawSample
from jobs.pipeline.shards.reading import read_samples
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries
from jobs.pipeline.storage.streams import open_stream
from masc_core.masks import foreground_fraction
from masc_core.protocol import NOTES, Batch, Metric

READ_ATTEMPTS = 4
"""At a shard, before the driver is told: it may give it to another worker, later."""

DAMAGED = "#damaged"
"""Ends the key of the row that stands for what is lost in a damaged shard, after the shard's id."""


@dataclass
class Row(Decoded):
    """A sample on its way to a row of `scores/`."""

    key: str = field(kw_only=True)
    position: int = field(kw_only=True)
    fields: GenerationFields = field(default_factory=GenerationFields)
    references: list[ReferenceEntry] = field(default_factory=list)
    subject: str | None = None
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

    def as_columns(self, shard: str) -> dict[str, Any]:
        """The row."""
        notes = {**self.notes, **self.refused}
        in_order = [*self.flags.values(), *(notes[number] for number in sorted(notes))]
        return {
            "key": self.key,
            "shard": shard,
            **vars(self.fields),
            "references": [entry.key for entry in self.references] or self.fields.references,
            "n_references": len(self.references) or None,
            "subject": self.subject or self.fields.subject,
            "status": OK,
            "error": "; ".join(in_order) or None,
            **self.columns,
        }


class ShardScorer:
    """Scores shards with the metrics of a plan. A `cluster.shard_job.ShardProcessor`."""

    def __init__(self, plan: ScoringPlan, threads: int, batch_size: int | None) -> None:
        """Make the threads; `load` comes next, a metric at a time."""
        self._plan = plan
        self._run = RunDirectory(plan.run)
        self._pass = BatchedPass(plan.metrics, threads, batch_size)
        self._encoder = ReferenceEncoder(self._pass, plan)
        self._schema = scores_schema(plan.metrics)
        self._store: ReferenceStore | None = None
        self._fingerprint: Any = None
        self.counts: dict[str, RowCounts] = {}
        """Rows so far of the shards at hand, by id; read from another thread, for progress."""

    def load(self, metric: Metric) -> None:
        """Load one of the plan's metrics.

        Raises:
            OSError, ValueError, ImportError: it cannot be.
        """
        self._pass.load(metric)

    @property
    def device(self) -> str:
        """Where the first metric is."""
        return str(self._plan.metrics[0].device)

    @property
    def batch_sizes(self) -> dict[str, int]:
        """Samples a batch, by the name of the metric, as the device's memory allows by now."""
        metrics = enumerate(self._plan.metrics)
        return {metric.name: self._pass.batch_sizes[number] for number, metric in metrics}

    def read_input(self, url: str) -> tuple[InputAnswer, Stored]:
        """Encode a reference shard; see `ReferenceEncoder.encode` for what it raises."""
        return with_retries(redact(url), lambda: self._encoder.encode(url), READ_ATTEMPTS)

    def share(self, shared: SharedReferences, fetch: Callable[[int], Stored]) -> None:
        """Score against these from now on; `fetch(i)` gets what is stored of reference shard i."""
        self._store = ReferenceStore(shared.index, fetch, self._plan.metrics)
        self._fingerprint = shared.fingerprint

    def process(self, shard: Shard) -> ShardReport:
        """Score every sample of a shard and commit its part.

        May be called from two threads: one shard then waits with its first batch on the device
        while the other has it.

        A shard that cannot be read on is read again, from its start.

        Raises:
            tarfile.TarError: the shard is no tar.
            FileNotFoundError, StorageError: it cannot be read.
            CommitError: the part cannot be written.
        """
        redacted = redact(shard.url)
        rows, timings = with_retries(redacted, lambda: self._score_samples(shard), READ_ATTEMPTS)
        in_order = [row.as_columns(redacted) for row in sorted(rows, key=lambda r: r.position)]
        table = pa.Table.from_pylist(in_order, schema=self._schema)
        began = time.monotonic()
        self._run.commit(shard, table, self._fingerprint)
        timings.commit = time.monotonic() - began
        del self.counts[shard.id]
        return ShardReport(
            *(shard.id, _count(in_order), timings, _first_error(in_order)),
            warnings_of(in_order, {row.key: row.suspicions for row in rows}),
        )

    def _score_samples(self, shard: Shard) -> tuple[list[Row], Timings]:
        """The rows of a shard, a key each."""
        rows: dict[str, Row] = {}
        counts = self.counts[shard.id] = RowCounts()
        work = Work(
            decode=self._decode,
            keep=lambda decoded: _keep(decoded, shard, rows, counts),
            compute=partial(self._compute, counts),
            failed=partial(self._failed, counts),
        )
        with open_stream(shard.url) as stream:
            samples = enumerate(read_samples(stream, self._plan.max_image_pixels))
            timings = self._pass.run(samples, work)
        return list(rows.values()), timings

    def _decode(self, numbered: tuple[int, RawSample]) -> Row:
        """Decode a sample, in a thread. What is wrong with it ends in its row, not in a raise."""
        position, raw = numbered
        row = Row(key=raw.key, position=position)
        try:
            self._fill(row, raw)
        except SampleError as error:
            row.end(ERROR, str(error))
        return row

    def _fill(self, row: Row, raw: RawSample) -> None:
        assert self._store is not None
        fields = row.fields
        read_generation(raw, fields)
        assert fields.concept is not None
        assert fields.prompt is not None
        row.references = self._store.index.chosen(fields.concept, fields.references)
        row.subject = fields.subject or next(
            (entry.subject for entry in row.references if entry.subject), None
        )
        plan = self._plan
        image = decode_image(raw, plan.max_image_pixels)
        masks = decode_masks(
            raw, image, plan.member_masks, plan.max_image_pixels, plan.min_fg_fraction
        )
        row.flags = {**_flags(image, masks.given), **masks.problems}
        fg_fraction = foreground_fraction(masks.given)
        too_small = _too_small(fg_fraction, row.references, self._plan.min_fg_fraction)
        if too_small:
            row.end(SKIPPED, too_small)
            return
        row.columns["fg_fraction"] = fg_fraction
        for number, metric in enumerate(self._plan.metrics):
            if row.is_over:
                return
            try:
                row.prepared[number] = metric.prepare(
                    row.key, image, masks.by_name, fields.prompt, row.subject
                )
                _require_all(metric, row.references)
            except ValueError as error:
                row.prepared.pop(number, None)
                self._refuse(number, row, str(error))

    def _compute(self, counts: RowCounts, number: int, rows: list[Row], batch: Batch) -> None:
        """The columns of one metric for a batch."""
        assert self._store is not None
        store, metric = self._store, self._plan.metrics[number]
        values = metric.score(
            batch, [[store.get(number, entry) for entry in row.references] for row in rows]
        )
        for i, row in enumerate(rows):
            if row.is_over:
                continue
            row.columns.update({name: values[name][i] for name in metric.columns})
            if NOTES in values and values[NOTES][i]:
                row.notes[number] = values[NOTES][i]
            # This metric is the last to compute it.
            counts.ok += len(row.prepared) == 1

    def _failed(self, counts: RowCounts, number: int, row: Row, reason: str) -> None:
        self._refuse(number, row, reason)
        if row.is_over:
            counts.error += 1
        else:
            counts.ok += not row.prepared

    def _refuse(self, number: int, row: Row, reason: str) -> None:
        """A metric cannot score it: without the first there is no row, without another no value."""
        if number == 0:
            row.end(ERROR, reason)
        else:
            row.refused[number] = f"{self._plan.metrics[number].name}: {reason}"


def _keep(
    decoded: Iterable[Row], shard: Shard, rows: dict[str, Row], counts: RowCounts
) -> Iterator[Row]:
    """Note every row under its key, and pass on those to score."""
    try:
        for row in decoded:
            # A key that comes back is an error, and what it was before is void.
            rows[row.key] = row
            if not row.is_over:
                yield row
            elif row.columns["status"] == ERROR:
                counts.error += 1
            else:
                counts.skipped += 1
    except DamagedShard as damage:
        # How many samples are lost cannot be told; one row stands for them.
        row = Row(key=f"{shard.id}{DAMAGED}", position=sys.maxsize)
        row.end(ERROR, f"shard: {damage}; what follows is lost")
        rows[row.key] = row
        counts.error += 1


def _flags(image: Image.Image, mask: np.ndarray) -> dict[str, str]:
    notes = {MASK: mask_note(mask), ORIENTATION: orientation_note(image)}
    return {kind: note for kind, note in notes.items() if note is not None}


def _require_all(metric: Metric, references: list[ReferenceEntry]) -> None:
    for entry in references:
        if metric.name in entry.refused:
            raise ValueError(f"reference {entry.key}: {entry.refused[metric.name]}")


def _too_small(fg_fraction: float, references: list[ReferenceEntry], least: float) -> str | None:
    """Why a pair is left out: one of its masks covers `least` of its pixels or less."""
    if least <= 0:
        return None
    if fg_fraction <= least:
        return f"mask.png: foreground is {fg_fraction:.4f} of the pixels, not over {least}"
    for entry in references:
        if entry.fg_fraction <= least:
            return (
                f"reference {entry.key}: foreground is {entry.fg_fraction:.4f} of the pixels, "
                f"not over {least}"
            )
    return None


def _count(rows: Iterable[dict[str, Any]]) -> RowCounts:
    statuses = Counter(row["status"] for row in rows)
    return RowCounts(statuses[OK], statuses[SKIPPED], statuses[ERROR])


def _first_error(rows: Iterable[dict[str, Any]]) -> str | None:
    return next((f"{r['key']}: {r['error']}" for r in rows if r["status"] == ERROR), None)
