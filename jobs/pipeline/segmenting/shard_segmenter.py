"""The way of a shard: URL, samples, batches of one bucket, masks, a tar that has them, commit.

Knows nothing of Ray: a worker holds a `ShardSegmenter` and calls it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import torch

from jobs.pipeline.errors import CommitError, SampleError, StorageError
from jobs.pipeline.run.reports import RowCounts, ShardReport, Timings, kinds_of
from jobs.pipeline.run.shard import Shard, require_version
from jobs.pipeline.segmenting.batches import batches_within_reach
from jobs.pipeline.segmenting.commits import SegmentedDirectory
from jobs.pipeline.segmenting.coverage import SegmentedCounts
from jobs.pipeline.segmenting.mask_member import (
    mask_png,
    mask_suffix,
    padding_after,
    tar_member,
)
from jobs.pipeline.segmenting.plan import SegmentingPlan
from jobs.pipeline.shards.fields import read_subject
from jobs.pipeline.shards.images import decode_image
from jobs.pipeline.shards.verbatim import VerbatimSample, read_verbatim
from jobs.pipeline.storage.placing import placed_file
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries
from jobs.pipeline.storage.streams import open_stream
from jobs.pipeline.threads import MapInThreads, torch_threads
from masc_core.device import default_batch_size, release_cached_memory, upload
from masc_core.protocol import Batch, PreparedSample

READ_ATTEMPTS = 4
"""At a shard, before the driver is told: it may give it to another worker, later."""


@dataclass
class SampleOnItsWay:
    """A sample between being read and being written."""

    verbatim: VerbatimSample
    is_kept: bool = False
    """It has that mask already."""
    prepared: PreparedSample | None = None
    """While it waits for its mask."""
    mask: np.ndarray | None = None
    png: Future[bytes] | None = None
    """Of the mask."""
    error: str | None = None

    def fail(self, reason: str) -> None:
        """It will have no mask."""
        self.prepared, self.error = None, reason


class ShardSegmenter:
    """Gives the samples of shards masks. A `cluster.shard_job.ShardProcessor`."""

    def __init__(self, plan: SegmentingPlan, threads: int, batch_size: int | None) -> None:
        """Make the threads; `load` comes next.

        Args:
            threads: cores to compute on, and as many threads decode.
            batch_size: None goes by the device's memory.
        """
        self._plan = plan
        self._out = SegmentedDirectory(plan.out)
        self._segmenter = plan.segmenter
        self._suffix = mask_suffix(plan.member)
        self._fingerprint = plan.fingerprint()
        self._batch_size = batch_size or 1
        self._chooses_batch_size = batch_size is None
        # One thread computes, whoever asks: each that did would have torch's threads of its own.
        self._computing = torch_threads(1, threads, "compute")
        self._decoding = torch_threads(threads, 1, "decode")
        self._uploading = torch_threads(1, 1, "upload")
        self.counts: dict[str, RowCounts] = {}
        """Samples so far of the shards at hand, by id; read from another thread, for progress."""

    def load(self, is_loaded: bool = False) -> None:
        """Load the segmenter, in the thread that will compute, unless it is; choose a batch size.

        Raises:
            OSError, ValueError, ImportError: it cannot be.
        """
        if is_loaded:
            release_cached_memory(self._segmenter.device)
        else:
            self._computing.submit(self._segmenter.load).result()
        if self._chooses_batch_size:
            self._batch_size = default_batch_size(
                self._segmenter.bytes_a_sample, self._segmenter.device
            )

    @property
    def device(self) -> str:
        """Where the segmenter is."""
        return str(self._segmenter.device)

    def share(self, shared: Any, fetch: Callable[[int], Any]) -> None:
        """Nothing is shared."""

    def process(self, shard: Shard) -> ShardReport:
        """Write the shard with its masks into the plan's `out`, and commit it.

        May be called from two threads: their batches take turns on the device.

        A shard that cannot be read on is read again, from its start.

        Raises:
            DamagedShard, tarfile.TarError: the shard is no tar that can be copied whole.
            FileNotFoundError, StorageError: it cannot be read, or is not what it was when the call
                began.
            CommitError: `out` cannot be written to.
        """
        require_version(shard)
        try:
            counts, timings = with_retries(
                redact(shard.url), lambda: self._write_shard(shard), READ_ATTEMPTS
            )
            began = time.monotonic()
            self._out.commit(shard, self._fingerprint, counts)
        except StorageError as error:
            if not error.what.startswith(redact(self._plan.out)):
                raise
            raise CommitError(error.what, f"cannot be written: {error.reason}") from error
        timings.commit = time.monotonic() - began
        del self.counts[shard.id]
        errors = kinds_of(counts.errors.values())
        return ShardReport(
            shard.id, counts.rows, timings, counts.first_error, counts.warnings(), errors
        )

    def _write_shard(self, shard: Shard) -> tuple[SegmentedCounts, Timings]:
        """The shard with masks, in its place; and what became of its samples."""
        counts, timings = SegmentedCounts(), Timings(began=time.time())
        self.counts[shard.id] = counts.rows
        with placed_file(self._out.target(shard)) as out, open_stream(shard.url) as stream:
            samples = read_verbatim(stream, self._plan.max_image_pixels)
            size = self._segment_all(samples, out, shard, counts, timings)
            out.write(padding_after(size))
            # Before it takes its place.
            require_version(shard)
        return counts, timings

    def _segment_all(
        self,
        samples: Iterator[VerbatimSample],
        out: IO[bytes],
        shard: Shard,
        counts: SegmentedCounts,
        timings: Timings,
    ) -> int:
        """Write every sample in its order, as soon as it and all before it are done; the bytes."""
        in_order: deque[SampleOnItsWay] = deque()
        size = 0
        ahead = 2 * self._batch_size
        with (
            MapInThreads(self._decode, samples, self._decoding, ahead) as decoded,
            MapInThreads(
                self._upload,
                batches_within_reach(
                    _noted(decoded, in_order), _bucket_of, lambda: self._batch_size
                ),
                self._uploading,
                ahead=1,
            ) as batches,
        ):
            asked = time.monotonic()
            for batch, pixels in batches:
                came = time.monotonic()
                timings.waiting += came - asked
                if pixels is not None:
                    self._computing.submit(self._segment, batch, pixels).result()
                size += self._write_done(in_order, out, counts)
                self.counts[shard.id] = counts.rows
                asked = time.monotonic()
                timings.scoring += asked - came
        return size + self._write_done(in_order, out, counts)

    def _decode(self, verbatim: VerbatimSample) -> SampleOnItsWay:
        """Decode and prepare a sample, in a thread; what is wrong with it ends in it."""
        sample, raw = SampleOnItsWay(verbatim), verbatim.raw
        if raw is None:
            return sample
        if raw.problem is None and (self._suffix in raw.members or self._suffix in raw.refused):
            sample.is_kept = True
        else:
            try:
                subject = read_subject(raw)
                image = decode_image(raw, self._plan.max_image_pixels)
                sample.prepared = self._segmenter.prepare(image, subject)
            except (SampleError, ValueError) as error:
                sample.fail(str(error))
        # The blocks hold it all, once more.
        raw.members.clear()
        return sample

    def _upload(
        self, batch: list[SampleOnItsWay]
    ) -> tuple[list[SampleOnItsWay], torch.Tensor | None]:
        """A batch on the device; without pixels where there is nothing to compute."""
        own = [each.prepared.pixels for each in batch if each.prepared is not None]
        if not own:
            return batch, None
        pixels = torch.stack(own)
        return batch, upload(pixels, self._segmenter.device, pixels.dtype)

    def _segment(self, batch: list[SampleOnItsWay], pixels: torch.Tensor) -> None:
        """The masks of a batch; of two of half the size where the device's memory is too small."""
        prepared = [each.prepared for each in batch]
        try:
            masks = self._segmenter.segment(Batch(prepared, pixels))
        except torch.OutOfMemoryError as error:
            reason = f"out of memory on the device: {str(error).splitlines()[0]}"
        else:
            for sample, mask in zip(batch, masks, strict=True):
                sample.prepared, sample.mask = None, mask
                # Not here: it takes as long as the quicker networks do.
                sample.png = self._decoding.submit(mask_png, mask)
            return
        # Not in the except clause: the error would hold on to the tensors that did not fit.
        release_cached_memory(self._segmenter.device)
        if len(batch) == 1:
            batch[0].fail(reason)
            return
        half = len(batch) // 2
        self._batch_size = max(1, min(self._batch_size, half))
        self._segment(batch[:half], pixels[:half])
        self._segment(batch[half:], pixels[half:])

    def _write_done(
        self, in_order: deque[SampleOnItsWay], out: IO[bytes], counts: SegmentedCounts
    ) -> int:
        """Write the samples at the front that wait for nothing; the bytes."""
        size = 0
        while in_order and in_order[0].prepared is None:
            for block in self._blocks_of(in_order.popleft(), counts):
                size += out.write(block)
        return size

    def _blocks_of(self, sample: SampleOnItsWay, counts: SegmentedCounts) -> Iterable[bytes]:
        """What the sample stands as in the tar with masks."""
        verbatim, blocks = sample.verbatim, list(sample.verbatim.blocks)
        if verbatim.raw is None:
            return blocks
        key = verbatim.raw.key
        if sample.is_kept:
            counts.kept += 1
        elif sample.mask is None or sample.png is None:
            counts.fail(key, sample.error or "no mask was made")
        else:
            counts.add(key, sample.mask)
            member = tar_member(f"{verbatim.name}.{self._suffix}", sample.png.result())
            assert verbatim.after_image is not None  # or there was no image to segment
            blocks.insert(verbatim.after_image, member)
        return blocks


def _noted(
    samples: Iterable[SampleOnItsWay], in_order: deque[SampleOnItsWay]
) -> Iterator[SampleOnItsWay]:
    """All samples, each noted before it goes on."""
    for sample in samples:
        in_order.append(sample)
        yield sample


def _bucket_of(sample: SampleOnItsWay) -> Any:
    return None if sample.prepared is None else sample.prepared.bucket
