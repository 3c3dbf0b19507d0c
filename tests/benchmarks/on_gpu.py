"""The encoder, the job and masc-metric on a GPU, at the size of the paper's encoder."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from jobs.demo.world.checkpoint import write_random_checkpoint
from masc_core import Encoder
from masc_core.defaults import Dtype
from masc_core.device import default_batch_size, release_cached_memory, upload
from tests.benchmarks.arithmetic import SO400M
from tests.benchmarks.figures import Figure, alternate, median_ratio
from tests.benchmarks.job import Job, run_job
from tests.benchmarks.scoring import N_CONCEPTS, SIZE, Oracle
from tests.benchmarks.workload import rendered, write_shards

log = logging.getLogger(__name__)

DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16", "float16")
SHARD = 500


def so400m_checkpoint(folder: Path) -> Path:
    """A NaFlex checkpoint of that shape, with random weights (4.4 GB); masc-metric reads its name.

    Its inner layers are 7 % wider than the released one's.
    """
    path = folder / "so400m-naflex"
    if not path.exists():
        write_random_checkpoint(path, naflex=True, hidden_size=1152, layers=27, heads=16)
    return path


def on_gpu(
    folder: Path,
    checkpoint: Path,
    rounds: int,
    n: int,
    device: torch.device,
    dtypes: Sequence[Dtype] = DTYPES,
) -> list[Figure]:
    """Images a second of the bare encoder and of the job, in each precision, and of masc-metric.

    Args:
        n: samples of the job.
    """
    figures = []
    for dtype in dtypes:
        rate, batch = encoder_rate(checkpoint, dtype, device)
        detail = f"batches of {batch}; {rate * SO400M / 1e12:.0f} TFLOP/s if it is SO400M"
        figures.append(Figure(f"encoder in {dtype}", rate, "images/s", detail=detail))
    references = rendered(N_CONCEPTS, [SIZE], N_CONCEPTS, "reference")
    generations = rendered(n, [SIZE], N_CONCEPTS, "generation")
    samples = write_shards(folder / "gpu", "g", generations, SHARD, "JPEG")
    photos = write_shards(folder / "gpu", "r", references, 100)

    def job(dtype: Dtype) -> Job:
        words = samples, photos, checkpoint, f"encoder.dtype={dtype}", "workers.count=1"
        return run_job(folder / "gpu" / "run", *words)

    for dtype in dtypes:
        done = job(dtype)
        worker = done.workers[0]
        share = worker["waiting"] / (worker["waiting"] + worker["scoring"])
        detail = f"waits for samples {share:.0%} of its time; start-up {done.start:.0f} s"
        figures.append(Figure(f"job in {dtype}", done.n / done.seconds, "images/s", detail=detail))
    oracle = Oracle(checkpoint, torch.float32, str(device))
    measured = alternate(
        rounds,
        partial(oracle.seconds_each, generations[: 4 * N_CONCEPTS], references),
        lambda: job("float32").seconds / n,
    )
    ratio, detail = median_ratio(measured)
    figures.append(Figure("masc-metric / job, float32, 1 ref.", ratio, "x", detail=detail))
    return figures


def encoder_rate(checkpoint: Path, dtype: Dtype, device: torch.device) -> tuple[float, int]:
    """Images a second of the vision tower on ready tensors, and the batch they came in."""
    encoder = Encoder.from_pretrained(
        str(checkpoint),
        device=device,
        dtype=dtype,
    )
    pixels, grid = encoder.prepare_image(rendered(1, [SIZE], 1, "generation")[0].image)
    size = default_batch_size(encoder.bytes_an_image, device)
    batch = upload(pixels[None].repeat(size, 1, 1), device, encoder.dtype)
    passes = 10 if device.type == "cuda" else 1
    for _ in range(2):  # the first pass sets the libraries up
        began = time.monotonic()
        for _ in range(passes):
            tokens = encoder.encode_images(batch, grid)
        float(tokens[-1, -1, -1])  # waits for the device
        seconds = time.monotonic() - began
    del encoder, batch, tokens
    release_cached_memory(device)  # what follows runs in other processes
    return passes * size / seconds, size


def measure(folder: Path, rounds: int) -> list[Figure]:
    """`on_gpu`, where there is one."""
    if not torch.cuda.is_available():
        log.warning("skipped: no CUDA device")
        return []
    return on_gpu(folder, so400m_checkpoint(folder), rounds, 8 * SHARD, torch.device("cuda"))
