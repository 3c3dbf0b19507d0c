"""The way of a shard: URL, samples, batches of one bucket, scores, rows, committed part.

Knows nothing of Ray: a worker holds a `ShardScorer` and calls it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

import numpy as np
import pyarrow as pa
from PIL import Image

from jobs.pipeline.errors import DamagedShard, SampleError, StorageError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.parts import ConceptDigests, StoredPart
from jobs.pipeline.run.reports import RowCounts, ShardReport, Timings
from jobs.pipeline.run.rows import ERROR, SAMPLE_COLUMNS, SKIPPED, scores_schema
from jobs.pipeline.run.shard import Shard, require_version
from jobs.pipeline.scoring.batched_pass import BatchedPass, Work
from jobs.pipeline.scoring.commit import Made, commit, counts_of, used_references
from jobs.pipeline.scoring.gains import POSITIONS, Computed, Wanted, stands, wanted_of
from jobs.pipeline.scoring.masks import with_members
from jobs.pipeline.scoring.plan import InputAnswer, ScoringPlan, SharedReferences
from jobs.pipeline.scoring.reference_encoder import ReferenceEncoder
from jobs.pipeline.scoring.reference_index import ReferenceEntry
from jobs.pipeline.scoring.reference_store import ReferenceStore, Stored
from jobs.pipeline.scoring.row import Row
from jobs.pipeline.scoring.warnings import MASK, ORIENTATION, warnings_of
from jobs.pipeline.shards.fields import read_generation
from jobs.pipeline.shards.images import decode_image, decode_mask, mask_note, orientation_note
from jobs.pipeline.shards.members import RawSample
from jobs.pipeline.shards.reading import read_samples
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries
from jobs.pipeline.storage.streams import open_stream
from masc_core.mask_names import GIVEN
from masc_core.masks import foreground_fraction
from masc_core.protocol import NOTES, Batch, Metric

READ_ATTEMPTS = 4
"""At a shard, before the driver is told: it may give it to another worker, later."""

DAMAGED = "#damaged"
"""Ends the key of the row that stands for what is lost in a damaged shard, after the shard's id."""


class ShardScorer:
    """Scores shards with the metrics of a plan. A `cluster.shard_job.ShardProcessor`."""

    def __init__(self, plan: ScoringPlan, threads: int, batch_size: int | None) -> None:
        """Make the threads; `load` comes next, a metric at a time."""
        self._plan = plan
        self._run = RunDirectory(plan.run)
        self._pass = BatchedPass(plan.metrics, threads, batch_size, plan.n_required)
        self._encoder = ReferenceEncoder(self._pass, plan)
        self._schema = scores_schema(plan.metrics)
        self._store: ReferenceStore | None = None
        self._digests: Mapping[str, ConceptDigests] = {}
        self.counts: dict[str, RowCounts] = {}
        """Rows so far of the shards at hand, by id; read from another thread, for progress."""

    def load(self, metric: Metric, is_loaded: bool = False) -> None:
        """Load one of the plan's metrics, unless it is, and choose its batch size.

        Raises:
            OSError, ValueError, ImportError: it cannot be.
        """
        self._pass.load(metric, is_loaded)

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
        self._digests = shared.index.digests()

    def process(self, shard: Shard) -> ShardReport:
        """Score every sample of a shard and commit its part.

        Where it has a part already, what that lacks is computed and joins it.

        May be called from two threads: one shard then waits with its first batch on the device
        while the other has it.

        A shard that cannot be read on is read again, from its start.

        Raises:
            tarfile.TarError: the shard is no tar.
            FileNotFoundError, StorageError: it cannot be read, or is not what it was when the call
                began.
            CommitError: the part cannot be written.
        """
        redacted = redact(shard.url)
        require_version(shard)
        part = self._run.read_part(shard)
        wanted = self._wanted(part, shard)
        if not wanted.numbers:
            assert wanted.statuses is not None
            return ShardReport(shard.id, counts_of(wanted.statuses.values()), Timings(), None)
        rows, timings = with_retries(
            redacted, lambda: self._score_samples(shard, wanted), READ_ATTEMPTS
        )
        require_version(shard)
        made = self._made(rows, wanted, redacted)
        began = time.monotonic()
        commit(self._run, shard, part, made, self._digests)
        timings.commit = time.monotonic() - began
        del self.counts[shard.id]
        return ShardReport(
            *(shard.id, made.counts, timings, made.first_error),
            warnings_of(made.rows, {row.key: row.suspicions for row in rows}),
            made.errors,
        )

    def look(self, shard: Shard) -> list[Row]:
        """Decode the samples of a shard, up to the plan's limit, and score none.

        Raises: as `process`.
        """
        try:
            return self._score_samples(shard, Wanted(()))[0]
        finally:
            self.counts.pop(shard.id, None)

    def _wanted(self, part: StoredPart | None, shard: Shard) -> Wanted:
        if part is not None and part.table is not None and stands(part, shard, self._digests):
            return wanted_of(part.table, [metric.columns for metric in self._plan.metrics])
        if not self._plan.n_required:
            reason = "its part is no longer what it was when this call began"
            raise StorageError(redact(shard.url), reason)
        return Wanted(tuple(range(len(self._plan.metrics))))

    def _made(self, rows: Sequence[Row], wanted: Wanted, shard: str) -> Made:
        """What the rows come to: a part, or what joins one."""
        plan = self._plan
        masks = {GIVEN, *plan.member_masks}
        used = used_references(rows, self._digests, masks)
        ours = [each for each in self._schema if each.name not in SAMPLE_COLUMNS]
        positions = [each for each in self._schema if each.name in POSITIONS]
        fields = [*ours, *positions]
        if wanted.statuses is not None:
            gained = {row.key: row.gained() for row in rows if wanted.wants(row.key)}
            return Made(
                Computed(
                    [each for each in fields if self._is_computed(each.name, wanted)],
                    {key: values for key, (values, _) in gained.items()},
                    {key: notes for key, (_, notes) in gained.items()},
                ),
                *(plan.groups, used),
                rows=[{"key": key, "status": own} for key, own in wanted.statuses.items()],
            )
        in_order = [row.as_columns(shard) for row in sorted(rows, key=lambda r: r.position)]
        return Made(
            Computed(fields, {row["key"]: row for row in in_order}, {}),
            *(plan.groups, used),
            rows=in_order,
            whole=pa.Table.from_pylist(in_order, schema=self._schema),
        )

    def _is_computed(self, column: str, wanted: Wanted) -> bool:
        metrics = self._plan.metrics
        return column in POSITIONS or any(column in metrics[n].columns for n in wanted.numbers)

    def _score_samples(self, shard: Shard, wanted: Wanted) -> tuple[list[Row], Timings]:
        """The rows of a shard, a key each."""
        rows: dict[str, Row] = {}
        counts = self.counts[shard.id] = RowCounts()
        work = Work(
            decode=partial(self._decode, wanted),
            keep=lambda decoded: _keep(decoded, shard, rows, counts),
            compute=partial(self._compute, counts),
            failed=partial(self._failed, counts),
        )
        with open_stream(shard.url) as stream:
            samples = read_samples(stream, self._plan.max_image_pixels)
            timings = self._pass.run(enumerate(islice(samples, self._plan.limit)), work)
        return list(rows.values()), timings

    def _decode(self, wanted: Wanted, numbered: tuple[int, RawSample]) -> Row:
        """Decode a sample, in a thread. What is wrong with it ends in its row, not in a raise."""
        position, raw = numbered
        row = Row(key=raw.key, position=position, is_new=wanted.statuses is None)
        if raw.problem is None:
            row.at = raw.offset, raw.length
        if not wanted.wants(raw.key):
            row.end((wanted.statuses or {}).get(raw.key, ERROR), "")
            return row
        try:
            self._fill(row, raw, wanted.numbers)
        except SampleError as error:
            row.end(ERROR, str(error))
        return row

    def _fill(self, row: Row, raw: RawSample, numbers: Sequence[int]) -> None:
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
        given = decode_mask(raw, plan.max_image_pixels)
        image = decode_image(raw, plan.max_image_pixels)
        masks = with_members(
            *(given, raw, image, plan.member_masks, plan.max_image_pixels, plan.min_fg_fraction)
        )
        row.flags = {**_flags(image, masks.given), **masks.problems}
        fg_fraction = foreground_fraction(masks.given)
        too_small = _too_small(fg_fraction, row.references, self._plan.min_fg_fraction)
        if too_small:
            row.end(SKIPPED, too_small)
            return
        row.columns["fg_fraction"] = fg_fraction
        for number in numbers:
            metric = self._plan.metrics[number]
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
        plan = self._plan
        row.refuse(number, plan.metrics[number].name, reason, number < plan.n_required)


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
