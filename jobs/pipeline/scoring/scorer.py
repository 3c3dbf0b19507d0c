"""The way of a shard: URL, samples, batches of one patch grid, scores, rows, committed part.

Knows nothing of Ray: a worker holds a `ShardScorer` and calls it.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from jobs.pipeline.errors import CallError, DamagedShard, SampleError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.reports import Counts, ShardReport, Timings
from jobs.pipeline.run.rows import ERROR, OK, SKIPPED, scores_schema
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.scoring.batches import batches_of_one_grid
from jobs.pipeline.scoring.plan import Plan
from jobs.pipeline.scoring.reference_index import ReferenceEntry, ReferenceIndex
from jobs.pipeline.scoring.reference_store import ReferenceStore, Tokens
from jobs.pipeline.scoring.threads import MapInThreads, torch_threads
from jobs.pipeline.shards.fields import GenerationFields, read_generation, read_reference
from jobs.pipeline.shards.images import decode_image, decode_mask
from jobs.pipeline.shards.members import RawSample
from jobs.pipeline.shards.reading import read_samples
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries
from jobs.pipeline.storage.streams import open_stream
from masc_core import MaSC, Prepared, Score
from masc_core.device import default_batch_size, release_cached_memory, upload

READ_ATTEMPTS = 4
"""At a shard, before the driver is told: it may give it to another worker, later."""

DAMAGED = "#damaged"
"""Ends the key of the row that stands for what is lost in a damaged shard, after the shard's id."""


@dataclass
class Row:
    """A sample on its way to a row of `scores/`."""

    key: str
    position: int
    fields: GenerationFields
    prepared: Prepared | None = None
    """Set when the sample is to be scored."""
    references: list[ReferenceEntry] = field(default_factory=list)
    subject: str | None = None
    columns: dict[str, Any] = field(default_factory=dict)
    """What scoring, skipping or failing it adds."""


Batch = tuple[list[Row], torch.Tensor]
"""Rows of one patch grid, and their pixels on the device."""


class ShardScorer:
    """Scores shards with one encoder."""

    def __init__(self, plan: Plan) -> None:
        """Load the encoder."""
        config = plan.config
        self._plan = plan
        self._run = RunDirectory(config.run)
        # One thread computes, whoever asks: each that did would have torch's threads of its own,
        # and OpenMP lets all of them sleep between operations once they outnumber the cores.
        self._computing = torch_threads(1, plan.threads, "compute")
        self._decoding = torch_threads(plan.threads, 1, "decode")
        self._uploading = torch_threads(1, 1, "upload")
        self._masc = self._computing.submit(
            MaSC.from_pretrained,
            plan.checkpoint.name_or_path,
            revision=plan.checkpoint.revision,
            dtype=config.encoder.dtype,
            max_num_patches=config.encoder.max_num_patches,
            compile=config.encoder.compile,
            trust_remote_code=config.encoder.trust_remote_code,
            fg_threshold=config.metric.fg_threshold,
            stripper=config.metric.stripper,
            reference_reduction=config.metric.reference_reduction,
            further=config.metric.extra,
        ).result()
        self._references: ReferenceStore | None = None
        self._schema = scores_schema(config.metric.extra)
        encoder = self._masc.encoder
        self.batch_size = plan.batch_size or default_batch_size(
            encoder.bytes_an_image, encoder.device
        )
        """Images a forward pass; falls when the device's memory turns out too small."""
        self.counts: dict[str, Counts] = {}
        """Rows so far of the shards at hand, by id; read from another thread, for progress."""

    @property
    def device(self) -> torch.device:
        """Where the encoder is."""
        return self._masc.encoder.device

    def encode_references(self, url: str) -> tuple[list[ReferenceEntry], Tokens]:
        """Encode a reference shard. One that cannot be encoded is an entry that says why.

        Raises:
            CallError: the shard is damaged, or a reference does not say what it is.
            tarfile.TarError: the shard is no tar.
            FileNotFoundError, StorageError: it cannot be read.
        """
        redacted = redact(url)
        return with_retries(redacted, lambda: self._encode_references(url, redacted), READ_ATTEMPTS)

    def _encode_references(self, url: str, redacted: str) -> tuple[list[ReferenceEntry], Tokens]:
        entries: list[ReferenceEntry] = []
        tokens: dict[str, np.ndarray] = {}
        try:
            with open_stream(url) as stream:
                for raw in read_samples(stream, self._plan.config.limits.max_image_pixels):
                    entry, tokens[raw.key] = self._encode_reference(raw, redacted)
                    entries.append(entry)
        except DamagedShard as damage:
            # Which references are lost, and whose scores they would change, cannot be told.
            raise CallError(f"references={redacted}: {damage}") from damage
        return entries, tokens

    def use_references(self, index: ReferenceIndex, tokens: Callable[[str], np.ndarray]) -> None:
        """Score against these from now on; `tokens(key)` gives a reference's patch tokens."""
        self._references = ReferenceStore(index, tokens, self.device)

    def score_shard(self, shard: Shard) -> ShardReport:
        """Score every sample of a shard and commit its part.

        May be called from two threads: one shard then waits with its first batch on the device
        while the other has the encoder.

        A shard that cannot be read on is read again, from its start.

        Raises:
            tarfile.TarError: the shard is no tar.
            FileNotFoundError, StorageError: it cannot be read.
            CommitError: the part cannot be written.
        """
        redacted = redact(shard.url)
        rows, timings = with_retries(redacted, lambda: self._score_samples(shard), READ_ATTEMPTS)
        table = self._table(shard, rows)
        began = time.monotonic()
        self._run.commit(shard, table, self._plan.fingerprint)
        timings.commit = time.monotonic() - began
        del self.counts[shard.id]
        return ShardReport(shard.id, _count(rows.values()), timings, _first_error(rows.values()))

    def _score_samples(self, shard: Shard) -> tuple[dict[str, Row], Timings]:
        """The rows of a shard, by key."""
        rows: dict[str, Row] = {}
        counts = self.counts[shard.id] = Counts()
        size = self.batch_size
        max_pixels = self._plan.config.limits.max_image_pixels
        with (
            open_stream(shard.url) as stream,
            MapInThreads(
                self._prepare,
                enumerate(read_samples(stream, max_pixels)),
                self._decoding,
                ahead=2 * size,
            ) as prepared,
            MapInThreads(
                self._upload,
                batches_of_one_grid(self._keep(prepared, shard, rows, counts), _grid_of, size),
                self._uploading,
                ahead=1,
            ) as batches,
        ):
            timings = self._computing.submit(self._score_all, batches, counts).result()
        return rows, timings

    def _score_all(self, batches: Iterable[Batch], counts: Counts) -> Timings:
        timings = Timings(began=time.time())
        asked = time.monotonic()
        for rows, pixels in batches:
            came = time.monotonic()
            timings.waiting += came - asked
            self._score(rows, pixels)
            counts.ok += _count(rows).ok
            asked = time.monotonic()
            timings.scoring += asked - came
        return timings

    def _prepare(self, numbered: tuple[int, RawSample]) -> Row:
        """Decode a sample, in a thread. What is wrong with it ends in its row, not in a raise."""
        position, raw = numbered
        row = Row(raw.key, position, GenerationFields())
        try:
            self._fill(row, raw)
        except SampleError as error:
            row.columns = {"status": ERROR, "error": str(error)}
        return row

    def _fill(self, row: Row, raw: RawSample) -> None:
        assert self._references is not None
        limits, metric = self._plan.config.limits, self._plan.config.metric
        fields = row.fields
        read_generation(raw, fields)
        assert fields.concept is not None
        assert fields.prompt is not None
        row.references = self._references.index.chosen(fields.concept, fields.references)
        row.subject = fields.subject or next(
            (entry.subject for entry in row.references if entry.subject), None
        )
        mask = decode_mask(raw, limits.max_image_pixels)
        image = decode_image(raw, limits.max_image_pixels)
        prepared = self._masc.prepare(image, mask, fields.prompt, row.subject)
        too_small = _too_small(prepared.fg_fraction, row.references, metric.min_fg_fraction)
        if too_small:
            row.columns = {"status": SKIPPED, "error": too_small}
        else:
            row.prepared = prepared

    def _keep(
        self, prepared: Iterable[Row], shard: Shard, kept: dict[str, Row], counts: Counts
    ) -> Iterator[Row]:
        """Note every row under its key, and pass on those to score."""
        try:
            for row in prepared:
                # A key that comes back is an error, and what it was before is void.
                kept[row.key] = row
                if row.prepared is not None:
                    yield row
                elif row.columns["status"] == ERROR:
                    counts.error += 1
                else:
                    counts.skipped += 1
        except DamagedShard as damage:
            # How many samples are lost cannot be told; one row stands for them.
            row = Row(f"{shard.id}{DAMAGED}", sys.maxsize, GenerationFields())
            row.columns = {"status": ERROR, "error": f"shard: {damage}; what follows is lost"}
            kept[row.key] = row
            counts.error += 1

    def _upload(self, rows: list[Row]) -> Batch:
        """A batch on the device."""
        encoder = self._masc.encoder
        pixels = torch.stack([row.prepared.pixels for row in rows if row.prepared is not None])
        return rows, upload(pixels, encoder.device, encoder.dtype)

    def _score(self, rows: list[Row], pixels: torch.Tensor) -> None:
        """One forward pass; two of half the size when the device's memory is too small for it."""
        assert self._references is not None
        store = self._references
        try:
            scores = self._masc.score_prepared(
                [row.prepared for row in rows if row.prepared is not None],
                [[store.get(entry) for entry in row.references] for row in rows],
                pixels,
            )
        except torch.OutOfMemoryError as error:
            failed = str(error).splitlines()[0]
        else:
            for row, score in zip(rows, scores, strict=True):
                row.columns = _columns(score, row.references, self._masc.encoder.text_length)
                row.prepared = None
            return
        # Not in the except clause: the error would hold on to the tensors that did not fit.
        release_cached_memory(self.device)
        if len(rows) == 1:
            rows[0].columns = {"status": ERROR, "error": f"out of memory on the device: {failed}"}
            rows[0].prepared = None
            return
        half = len(rows) // 2
        self.batch_size = max(1, min(self.batch_size, half))
        self._score(rows[:half], pixels[:half])
        self._score(rows[half:], pixels[half:])

    def _table(self, shard: Shard, rows: dict[str, Row]) -> pa.Table:
        """The part, in the shard's order."""
        redacted = redact(shard.url)
        in_order = sorted(rows.values(), key=lambda row: row.position)
        columns = [
            {
                "key": row.key,
                "shard": redacted,
                **vars(row.fields),
                "references": [entry.key for entry in row.references] or row.fields.references,
                "n_references": len(row.references) or None,
                "subject": row.subject or row.fields.subject,
                **row.columns,
            }
            for row in in_order
        ]
        return pa.Table.from_pylist(columns, schema=self._schema)

    def _encode_reference(self, raw: RawSample, shard: str) -> tuple[ReferenceEntry, np.ndarray]:
        """Encode a reference; if that fails, an entry that says why.

        Raises:
            CallError: it cannot even be told which concept it is of, so not what it would spoil.
        """
        try:
            fields = read_reference(raw)
        except SampleError as error:
            raise CallError(f"references={shard}: {raw.key}: {error}") from error
        entry = ReferenceEntry(raw.key, shard, fields.concept, fields.subject)
        try:
            mask = decode_mask(raw, self._plan.config.limits.max_image_pixels)
            image = decode_image(raw, self._plan.config.limits.max_image_pixels)
        except SampleError as error:
            nothing = np.empty((0, self._masc.encoder.dim), np.float32)
            return replace(entry, error=str(error)), nothing
        [reference] = self._computing.submit(self._masc.encode_references, [image], [mask]).result()
        encoded = replace(
            entry,
            n_patches=reference.n_patches,
            fg_weight=reference.fg_weight,
            fg_fraction=reference.fg_fraction,
        )
        return encoded, reference.tokens.cpu().numpy()


def _grid_of(row: Row) -> tuple[int, int]:
    assert row.prepared is not None
    return row.prepared.grid


def _columns(score: Score, references: list[ReferenceEntry], text_length: int) -> dict[str, Any]:
    """What a score adds to its row; the text tower reads `text_length` tokens."""
    empty = [
        f"reference {entry.key} has no foreground patch"
        for entry, n in zip(references, score.n_ref_fg_patches, strict=True)
        if n == 0
    ]
    no_background = ["pf: no background patch"] if math.isnan(score.pf) else []
    is_cut = score.n_text_tokens > text_length
    cut = [f"text: {score.n_text_tokens} tokens, cut to {text_length}"] if is_cut else []
    return {
        "text": score.text,
        "subject_found": score.subject_found,
        "cp": score.cp,
        "pf": score.pf,
        "cp_per_reference": score.cp_per_reference,
        "n_ref_fg_patches": score.n_ref_fg_patches,
        "n_fg_patches": score.n_fg_patches,
        "n_bg_patches": score.n_bg_patches,
        "n_patches": score.n_patches,
        "grid_h": score.grid[0],
        "grid_w": score.grid[1],
        "fg_fraction": score.fg_fraction,
        "status": OK,
        "error": "; ".join(empty + no_background + cut) or None,
        **score.further,
    }


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


def _count(rows: Iterable[Row]) -> Counts:
    statuses = Counter(row.columns["status"] for row in rows)
    return Counts(statuses[OK], statuses[SKIPPED], statuses[ERROR])


def _first_error(rows: Iterable[Row]) -> str | None:
    return next(
        (f"{r.key}: {r.columns['error']}" for r in rows if r.columns["status"] == ERROR), None
    )
