"""The way of samples through the metrics of a worker: decoded once, batched, uploaded, computed.

One thread reads, several decode and prepare for every metric, one uploads the next batch, and one
computes. References and generations go the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch

from jobs.pipeline.run.reports import Timings
from jobs.pipeline.scoring.batches import batches_of_one_bucket
from jobs.pipeline.threads import MapInThreads, torch_threads
from masc_core.device import default_batch_size, release_cached_memory, upload
from masc_core.protocol import Batch, Metric, PreparedSample

LONGEST_REASON = 200
"""Characters of what a comparator's network raises."""


@dataclass
class Decoded:
    """A sample as the metrics take it."""

    prepared: dict[int, PreparedSample] = field(default_factory=dict)
    """By the number of the metric that still has to compute it."""


Raw = TypeVar("Raw")
Sample = TypeVar("Sample", bound=Decoded)


@dataclass(frozen=True)
class Work(Generic[Raw, Sample]):
    """What is particular to a pass."""

    decode: Callable[[Raw], Sample]
    """Called in several threads; what is wrong with a sample ends in it, not in a raise."""
    keep: Callable[[Iterable[Sample]], Iterator[Sample]]
    """Every sample in its order; passes on those that are to be computed."""
    compute: Callable[[int, list[Sample], Batch], None]
    """Samples of one batch, by the number of the metric."""
    failed: Callable[[int, Sample, str], None]
    """The metric cannot compute this one, and why."""


class BatchedPass:
    """The threads and batch sizes of a worker; `run` may be called from two threads at once."""

    def __init__(
        self,
        metrics: Sequence[Metric],
        threads: int,
        batch_size: int | None,
        n_required: int = 1,
    ) -> None:
        """Make the threads.

        Args:
            threads: cores to compute on, and as many threads decode.
            n_required: how many of the metrics, the first ones, may fail for want of memory alone.
        """
        self.metrics = metrics
        self._n_required = n_required
        self._batch_size = batch_size
        self.batch_sizes: dict[int, int] = {}
        """Samples a batch, by the number of the metric; fall when the device's memory turns out too
        small."""
        # One thread computes, whoever asks: each that did would have torch's threads of its own,
        # and OpenMP lets all of them sleep between operations once they outnumber the cores.
        self._computing = torch_threads(1, threads, "compute")
        self._decoding = torch_threads(threads, 1, "decode")
        self._uploading = torch_threads(1, 1, "upload")

    def load(self, metric: Metric, is_loaded: bool = False) -> None:
        """Load one of the metrics, in the thread that will compute it, unless it is; choose its
        batch size.

        Raises:
            OSError, ValueError, ImportError: it cannot be.
        """
        if is_loaded:
            # What an earlier pass took for its batches is there for this one's.
            release_cached_memory(metric.device)
        else:
            self._computing.submit(metric.load).result()
        self.batch_sizes[self.metrics.index(metric)] = self._batch_size or default_batch_size(
            metric.bytes_a_sample, metric.device
        )

    def run(self, samples: Iterator[Raw], work: Work[Raw, Sample]) -> Timings:
        """Do the work to all samples; what reading and decoding them raises is raised."""
        ahead = 2 * max(self.batch_sizes.values(), default=1)
        with (
            MapInThreads(work.decode, samples, self._decoding, ahead) as decoded,
            MapInThreads(
                self._upload,
                batches_of_one_bucket(
                    _for_each_metric(work.keep(decoded)), _bucket_of, self.batch_sizes.__getitem__
                ),
                self._uploading,
                ahead=1,
            ) as batches,
        ):
            return self._computing.submit(self._compute_all, batches, work).result()

    def _upload(self, batch: list[tuple[int, Sample]]) -> tuple[int, list[Sample], torch.Tensor]:
        """A batch on the device of its metric; still on the CPU where there is no room for it, so
        that it is halved like one that cannot be computed."""
        number = batch[0][0]
        samples = [sample for _, sample in batch]
        pixels = torch.stack([sample.prepared[number].pixels for sample in samples])
        metric = self.metrics[number]
        try:
            return number, samples, upload(pixels, metric.device, metric.dtype)
        except torch.OutOfMemoryError:
            return number, samples, pixels

    def _compute_all(
        self,
        batches: Iterable[tuple[int, list[Sample], torch.Tensor]],
        work: Work[Raw, Sample],
    ) -> Timings:
        timings = Timings(began=time.time())
        asked = time.monotonic()
        for number, samples, pixels in batches:
            came = time.monotonic()
            timings.waiting += came - asked
            self._compute(number, samples, pixels, work)
            asked = time.monotonic()
            timings.scoring += asked - came
        return timings

    def _compute(
        self,
        number: int,
        samples: list[Sample],
        pixels: torch.Tensor,
        work: Work[Raw, Sample],
    ) -> None:
        """One batch; two of half the size when it cannot be computed as a whole."""
        metric = self.metrics[number]
        is_short_of_memory = False
        try:
            if pixels.device.type != metric.device.type or pixels.dtype != metric.dtype:
                pixels = upload(pixels, metric.device, metric.dtype)
            prepared = [sample.prepared[number] for sample in samples]
            work.compute(number, samples, Batch(prepared, pixels))
        except torch.OutOfMemoryError as error:
            reason = f"out of memory on the device: {str(error).splitlines()[0]}"
            is_short_of_memory = True
        except Exception as error:
            # A sample that a comparator cannot bear must cost no other, and no row.
            if number < self._n_required:
                raise
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:LONGEST_REASON]}"
        else:
            for sample in samples:
                del sample.prepared[number]
            return
        # Not in the except clause: the error would hold on to the tensors that did not fit.
        release_cached_memory(metric.device)
        if len(samples) == 1:
            del samples[0].prepared[number]
            work.failed(number, samples[0], reason)
            return
        half = len(samples) // 2
        if is_short_of_memory:
            self.batch_sizes[number] = max(1, min(self.batch_sizes[number], half))
        self._compute(number, samples[:half], pixels[:half], work)
        self._compute(number, samples[half:], pixels[half:], work)


def _for_each_metric(samples: Iterable[Sample]) -> Iterator[tuple[int, Sample]]:
    for sample in samples:
        # A copy: what is computed meanwhile leaves the sample.
        for number in list(sample.prepared):
            yield number, sample


def _bucket_of(item: tuple[int, Sample]) -> tuple[int, object]:
    number, sample = item
    return number, sample.prepared[number].bucket
