"""What an image costs each segmenter, at its real size, with random weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from masc_core.defaults import Dtype
from masc_core.device import release_cached_memory, upload
from masc_core.protocol import Batch, PreparedSample
from masc_core.segmenters import SEGMENTERS, make_segmenter
from masc_core.segmenters.sam2 import DetectThenSegment
from tests.benchmarks.arithmetic import counted_flops
from tests.benchmarks.figures import Figure, told
from tests.benchmarks.real_sizes import checkpoint_of
from tests.benchmarks.workload import rendered
from tests.masc_core.segmenters.small import FIRST_NETWORK, TWO_STAGE

SIZE = (512, 512)
GPU_BATCH = 16


def of_each(
    folder: Path,
    device: torch.device,
    names: Sequence[str] = tuple(SEGMENTERS),
    checkpoint: Callable[[Path, str], Path] = checkpoint_of,
) -> list[Figure]:
    """Operations, seconds and, on a GPU, memory of an image; a GPU is asked in bfloat16 too."""
    dtypes: tuple[Dtype, ...] = ("float32", "bfloat16") if device.type == "cuda" else ("float32",)
    figures = []
    for name in names:
        settings: dict[str, Any] = {"name_or_path": str(checkpoint(folder, FIRST_NETWORK[name]))}
        if name in TWO_STAGE:
            settings["sam2_name_or_path"] = str(checkpoint(folder, "sam2"))
        for dtype in dtypes:
            figures += told(_of_one(name, {**settings, "dtype": dtype}))
            release_cached_memory(device)
    return figures


def _of_one(name: str, settings: Mapping[str, Any]) -> list[Figure]:
    segmenter: Any = make_segmenter(name, **settings)
    segmenter.load()
    if isinstance(segmenter, DetectThenSegment):
        _finds_one_box(segmenter)
    device = segmenter.device
    networks = [segmenter.network, segmenter.sam2] if name in TWO_STAGE else [segmenter.network]
    n_weights = sum(weight.numel() for each in networks for weight in each.model.parameters())
    size = GPU_BATCH if device.type == "cuda" else 1
    images = [item.image for item in rendered(size, [SIZE], 1, "generation")]
    began = time.monotonic()
    samples = [segmenter.prepare(image, "dog") for image in images]
    preparing = (time.monotonic() - began) / size
    batch = _batch(samples, device)
    operations = counted_flops(lambda: segmenter.segment(_batch(samples[:1], device)))
    seconds, memory = _measured(partial(segmenter.segment, batch), device)
    shown = f"{name}, {settings['dtype']}"
    detail = f"{n_weights / 1e6:.0f} M weights; {preparing * 1e3:.0f} ms of a core to prepare"
    figures = [
        Figure(f"{shown}: operations", operations / 1e12, "TFLOP/image", detail=detail),
        Figure(f"{shown}: time", seconds / size * 1e3, "ms/image", detail=f"batches of {size}"),
    ]
    if memory is not None:
        detail = f"estimated: {segmenter.bytes_a_sample / 1e9:.2f} GB"
        figures.append(Figure(f"{shown}: memory", memory / size / 1e9, "GB/image", detail=detail))
    return figures


def _finds_one_box(segmenter: Any) -> None:
    """With random weights all of its queries may be boxes, or none; one subject is one."""
    detect = segmenter.detect

    def one_each(batch: Batch) -> list[torch.Tensor]:
        detect(batch)
        return [torch.tensor([[8.0, 8.0, 400.0, 400.0]]) for _ in batch.samples]

    segmenter.detect = one_each


def _batch(samples: Sequence[PreparedSample], device: torch.device) -> Batch:
    pixels = torch.stack([sample.pixels for sample in samples])
    return Batch(list(samples), upload(pixels, device, pixels.dtype))


def _measured(work: Callable[[], Any], device: torch.device) -> tuple[float, int | None]:
    """Seconds of the second call, and on a GPU the most memory that it took beside what stood."""
    is_cuda = device.type == "cuda"
    work()
    standing = 0
    if is_cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        standing = torch.cuda.memory_allocated()
    began = time.monotonic()
    work()  # ends with masks on the CPU
    seconds = time.monotonic() - began
    return seconds, torch.cuda.max_memory_allocated() - standing if is_cuda else None
