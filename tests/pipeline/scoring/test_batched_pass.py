"""Samples through the threads of a worker, with two toy metrics of different buckets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
import torch

from jobs.pipeline.scoring.batched_pass import BatchedPass, Decoded, Work
from masc_core.protocol import Batch


@dataclass(frozen=True)
class Number:
    """A sample as a metric has it: its number, in the bucket of its parity."""

    pixels: torch.Tensor
    bucket: int


class Metric:
    """As far as a pass needs it."""

    device = torch.device("cpu")
    dtype = torch.float32
    bytes_a_sample = 4
    loaded_in = ""

    def load(self) -> None:
        self.loaded_in = threading.current_thread().name


@dataclass
class Sample(Decoded):
    number: int = 0


@dataclass
class Seen:
    """What came of the samples, by the number of the metric."""

    kept: list[int] = field(default_factory=list)
    batches: list[tuple[int, list[int]]] = field(default_factory=list)
    failed: list[tuple[int, int, str]] = field(default_factory=list)
    unbearable: dict[tuple[int, int], Exception] = field(default_factory=dict)
    """By metric and sample."""

    def work(self) -> Work[int, Sample]:
        return Work(self._decode, self._keep, self._compute, self._failed)

    def computed(self, metric: int) -> list[int]:
        return sorted(n for number, batch in self.batches if number == metric for n in batch)

    def _decode(self, raw: int) -> Sample:
        pixels = torch.tensor([float(raw)])
        # The second metric has no use for multiples of five.
        prepared = {m: Number(pixels, raw % 2) for m in (0, 1) if m == 0 or raw % 5}
        return Sample(prepared, raw)  # type: ignore[arg-type]

    def _keep(self, decoded: Iterator[Sample]) -> Iterator[Sample]:
        for sample in decoded:
            self.kept.append(sample.number)
            yield sample

    def _compute(self, number: int, samples: list[Sample], batch: Batch) -> None:
        assert batch.pixels.flatten().tolist() == [sample.number for sample in samples]
        for sample in samples:
            if (number, sample.number) in self.unbearable:
                raise self.unbearable[number, sample.number]
        self.batches.append((number, [sample.number for sample in samples]))

    def _failed(self, number: int, sample: Sample, reason: str) -> None:
        self.failed.append((number, sample.number, reason))


def two_metrics(batch_size: int) -> BatchedPass:
    metrics = [Metric(), Metric()]
    through = BatchedPass(metrics, threads=2, batch_size=batch_size)  # type: ignore[arg-type]
    for metric in metrics:
        through.load(metric)  # type: ignore[arg-type]
    return through


def test_every_metric_has_every_sample_once_in_batches_of_one_bucket() -> None:
    seen = Seen()
    timings = two_metrics(3).run(iter(range(20)), seen.work())
    assert seen.kept == list(range(20))
    assert seen.computed(0) == list(range(20))
    assert seen.computed(1) == [n for n in range(20) if n % 5]
    for _, batch in seen.batches:
        assert 1 <= len(batch) <= 3
        assert len({n % 2 for n in batch}) == 1
    assert seen.failed == []
    assert timings.waiting >= 0
    assert timings.scoring >= 0


def test_what_the_second_metric_cannot_bear_costs_that_sample_alone() -> None:
    seen = Seen(unbearable={(1, 7): RuntimeError("too\n  red")})
    through = two_metrics(8)
    through.run(iter(range(20)), seen.work())
    assert seen.failed == [(1, 7, "RuntimeError: too red")]
    assert seen.computed(0) == list(range(20))
    assert seen.computed(1) == [n for n in range(20) if n % 5 and n != 7]
    # It was not for want of memory.
    assert through.batch_sizes == {0: 8, 1: 8}


def test_what_the_first_metric_cannot_bear_ends_the_pass() -> None:
    seen = Seen(unbearable={(0, 7): RuntimeError("too red")})
    with pytest.raises(RuntimeError, match="too red"):
        two_metrics(8).run(iter(range(20)), seen.work())


def test_a_device_without_memory_for_a_batch_gets_smaller_ones_from_then_on() -> None:
    seen = Seen()
    through = two_metrics(8)
    compute = seen._compute

    def small(number: int, samples: list[Sample], batch: Batch) -> None:
        if number == 0 and len(samples) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        compute(number, samples, batch)

    work = seen.work()
    through.run(iter(range(40)), Work(work.decode, work.keep, small, work.failed))
    assert seen.computed(0) == list(range(40))
    assert seen.failed == []
    # 1 where a batch of three, made before the size fell, was halved too.
    assert through.batch_sizes in ({0: 2, 1: 8}, {0: 1, 1: 8})


def test_what_reading_raises_is_raised_after_what_was_read() -> None:
    def cut_off() -> Iterator[int]:
        yield from range(4)
        raise OSError("cut off")

    seen = Seen()
    with pytest.raises(OSError, match="cut off"):
        two_metrics(1).run(cut_off(), seen.work())
    assert set(seen.computed(0)) <= {0, 1, 2, 3}


def test_two_shards_at_once_share_the_thread_that_computes() -> None:
    through = two_metrics(2)
    both = [Seen(), Seen()]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda seen: through.run(iter(range(30)), seen.work()), both))
    assert [seen.computed(0) for seen in both] == [list(range(30))] * 2
    assert len({metric.loaded_in for metric in through.metrics}) == 1  # type: ignore[attr-defined]


def test_a_batch_that_does_not_fit_while_it_is_uploaded_is_halved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def small(pixels: torch.Tensor, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        if len(pixels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return pixels.to(device, dtype)

    # The device is the CPU here: a dtype of its own makes pixels that are not uploaded differ.
    monkeypatch.setattr("jobs.pipeline.scoring.batched_pass.upload", small)
    monkeypatch.setattr(Metric, "dtype", torch.float64)
    seen = Seen()
    a_pass = two_metrics(batch_size=8)
    a_pass.run(iter(range(16)), seen.work())
    assert sorted(seen.computed(0)) == list(range(16))
    assert a_pass.batch_sizes[0] <= 4
