"""The encoder, the job and masc-metric on a GPU, at the size of the paper's encoder."""

from __future__ import annotations

import io
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from pathlib import Path

import torch
from PIL import Image

from jobs.demo.world.checkpoint import write_random_checkpoint
from masc_core import MaSC
from masc_core.defaults import Dtype
from masc_core.device import default_batch_size, release_cached_memory, upload
from masc_core.encoder import best_device
from tests.benchmarks.arithmetic import SO400M
from tests.benchmarks.figures import Figure, alternate, at_least, at_most, median_ratio, told
from tests.benchmarks.job import Job, run_job
from tests.benchmarks.scoring import N_CONCEPTS, SIZE, TOLERANCE, Oracle
from tests.benchmarks.workload import Item, encoded, rendered, write_shards

log = logging.getLogger(__name__)

DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16")
SHARD = 500
JOB_SECONDS = 15.0
"""Of encoding, for which a job is given samples."""


def so400m_checkpoint(folder: Path) -> Path:
    """A NaFlex checkpoint of that shape, with random weights (4.4 GB); masc-metric reads its name.

    Its inner layers are 7 % wider than the released one's.
    """
    path = folder / "so400m-naflex"
    if not path.exists():
        with best_device():  # random numbers for a billion weights take a CPU a minute
            write_random_checkpoint(path, naflex=True, hidden_size=1152, layers=27, heads=16)
    return path


@dataclass(frozen=True)
class Shards:
    """One shard of generations as often as a job takes, and the references."""

    folder: Path
    generations: list[Item]
    references: list[Item]

    @classmethod
    def write(cls, folder: Path, n_a_shard: int) -> Shards:
        """Render them; copies of the shard come when they are asked for."""
        generations = rendered(n_a_shard, [SIZE], N_CONCEPTS, "generation")
        references = rendered(N_CONCEPTS, [SIZE], N_CONCEPTS, "reference")
        write_shards(folder, "g", generations, n_a_shard, "JPEG")
        write_shards(folder, "r", references, len(references))
        return cls(folder, generations, references)

    def samples(self, n: int) -> str:
        """At least `n` samples, in whole shards."""
        n_shards = ceil(n / len(self.generations))
        for number in range(1, n_shards):
            copy = self.folder / f"g-{number:06d}.tar"
            if not copy.exists():
                shutil.copyfile(self.folder / "g-000000.tar", copy)
        return f"{self.folder}/g-{{000000..{n_shards - 1:06d}}}.tar"

    def as_stored(self, n: int) -> list[Item]:
        """The first of the generations, as a reader of the shard sees them."""
        return [
            replace(item, image=Image.open(io.BytesIO(encoded(item.image, "JPEG"))))
            for item in self.generations[:n]
        ]


def on_gpu(
    folder: Path,
    checkpoint: Path,
    rounds: int,
    device: torch.device,
    dtypes: Sequence[Dtype] = DTYPES,
    n_a_shard: int = SHARD,
    seconds: float = JOB_SECONDS,
) -> list[Figure]:
    """Images a second of the bare encoder and of the job, in each precision, and of masc-metric.

    Args:
        dtypes: the authors' first.
        seconds: of encoding in a job.
    """
    shards = Shards.write(folder / "gpu", n_a_shard)
    figures: list[Figure] = []
    rates: dict[Dtype, float] = {}
    for dtype in dtypes:
        rates[dtype], own = rates_of(checkpoint, dtype, device, shards)
        release_cached_memory(device)  # what follows runs in other processes
        figures += told(own)

    def job(dtype: Dtype, workers: int = 1, compiled: bool = False) -> Job:
        samples = shards.samples(ceil(seconds * rates[dtype]))
        references = f"{shards.folder}/r-*.tar"
        words = [f"encoder.dtype={dtype}", f"workers.count={workers}"]
        if device.type == "cuda":
            words += [f"workers.gpus={1 / workers}", f"encoder.compile={compiled}"]
        return run_job(folder / "gpu" / "run", samples, references, checkpoint, *words)

    for dtype in dtypes[1:]:
        for way in ({}, {"workers": 2}, {"compiled": True}):
            named = " ".join([dtype, *(f"{name}={value}" for name, value in way.items())])
            figures += told(of_job(job(dtype, **way), named, rates[dtype]))
    done, parity = against_the_authors(shards, checkpoint, rounds, device, partial(job, dtypes[0]))
    return figures + told(of_job(done, dtypes[0], rates[dtypes[0]])) + told(parity)


def of_job(done: Job, named: str, encoder_rate: float) -> list[Figure]:
    """Images a second of a job, also as a share of the bare encoder's."""
    waiting, scoring = (sum(each[at] for each in done.workers) for at in ("waiting", "scoring"))
    share = waiting / (waiting + scoring)
    detail = (
        f"{done.n:,} samples; waits for them {share:.0%} of its time; start-up {done.start:.0f} s"
    )
    rate = done.n / done.seconds
    return [
        Figure(f"job in {named}", rate, "images/s", detail=detail),
        Figure("  of the encoder's", rate / encoder_rate, ""),
    ]


def rates_of(
    checkpoint: Path, dtype: Dtype, device: torch.device, shards: Shards
) -> tuple[float, list[Figure]]:
    """Images a second of the vision tower, and of all of the scoring, on ready tensors."""
    masc = MaSC.from_pretrained(str(checkpoint), device=device, dtype=dtype)
    size = default_batch_size(masc.encoder.bytes_an_image, device)
    generations = [shards.generations[i % len(shards.generations)] for i in range(size)]
    prepared = [
        masc.prepare(item.image, item.mask, item.fields["prompt"], item.fields["subject"])
        for item in generations
    ]
    encoded = {
        item.fields["concept"]: masc.encode_references([item.image], [item.mask])
        for item in shards.references
    }
    references = [encoded[item.fields["concept"]] for item in generations]
    pixels = upload(torch.stack([each.pixels for each in prepared]), device, masc.encoder.dtype)

    def encode() -> None:
        float(masc.encoder.encode_images(pixels, prepared[0].grid)[-1, -1, -1])  # waits for it

    def score() -> None:
        masc.score_prepared(prepared, references, pixels)

    passes = 5 if device.type == "cuda" else 1
    encoder, scoring = (size / seconds_each(work, passes) for work in (encode, score))
    detail = f"batches of {size}; {encoder * SO400M / 1e12:.0f} TFLOP/s if it is SO400M"
    return encoder, [
        Figure(f"encoder in {dtype}", encoder, "images/s", detail=detail),
        Figure("  with CP and PF, in one thread", scoring, "images/s"),
    ]


def seconds_each(work: Callable[[], None], passes: int) -> float:
    """Seconds of a pass, after one that set the libraries up."""
    work()
    began = time.monotonic()
    for _ in range(passes):
        work()
    return (time.monotonic() - began) / passes


def against_the_authors(
    shards: Shards, checkpoint: Path, rounds: int, device: torch.device, job: partial[Job]
) -> tuple[Job, list[Figure]]:
    """How much longer masc-metric takes for a generation, and the largest difference of a score."""
    oracle = Oracle(checkpoint, torch.float32, str(device))
    generations = shards.as_stored(4 * N_CONCEPTS)
    oracle.seconds_each(generations[:1], shards.references)  # sets the libraries up
    theirs = partial(oracle.seconds_each, generations, shards.references)
    done: list[Job] = []

    def ours() -> float:
        done.append(job())
        return done[-1].seconds / done[-1].n

    ratio, detail = median_ratio(alternate(rounds, theirs, ours))
    rows = done[-1].rows()
    differences = [
        abs(score - rows[key][name])
        for key, scores in oracle.scores.items()
        for name, score in zip(("cp", "pf"), scores, strict=True)
    ]
    return done[-1], [
        at_least("masc-metric / job, float32, 1 ref.", ratio, "x", 2, detail),
        at_most("  largest difference of a score", max(differences), "", TOLERANCE),
    ]


def measure(folder: Path, rounds: int) -> list[Figure]:
    """`on_gpu`, where there is one."""
    if not torch.cuda.is_available():
        log.warning("skipped: no CUDA device")
        return []
    return on_gpu(folder, so400m_checkpoint(folder), rounds, torch.device("cuda"))
