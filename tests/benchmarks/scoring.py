"""The whole job against the authors' package, a quick script on Ray Data, and the bare encoder."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from masc_core.torchvision_compat import make_torchvision_importable
from tests.benchmarks.bare_encoder import BareEncoder
from tests.benchmarks.figures import Figure, alternate, at_least, between, median_ratio
from tests.benchmarks.job import Job, run_job
from tests.benchmarks.workload import Item, rendered, write_shards

SIZE = (512, 512)
N_CONCEPTS = 3
TOLERANCE = 1e-5


class Oracle:
    """masc-metric on one checkpoint, pair by pair."""

    def __init__(self, checkpoint: Path, dtype: torch.dtype, device: str = "cpu") -> None:
        make_torchvision_importable()
        from masc import MaSC

        self._masc = MaSC(str(checkpoint), device=device, dtype=dtype)
        self.scores: dict[str, tuple[float, float]] = {}
        """Mean CP over the references, and PF, by key."""

    def seconds_each(self, generations: Sequence[Item], references: Sequence[Item]) -> float:
        """Seconds a generation, against all references of its concept."""
        began = time.monotonic()
        for item in generations:
            own = [r for r in references if r.fields["concept"] == item.fields["concept"]]
            pairs = [
                self._masc.score(
                    *(reference.image, reference.mask, item.image, item.mask),
                    item.fields["prompt"],
                    item.fields["subject"],
                )
                for reference in own
            ]
            self.scores[item.key] = (float(np.mean([p.cp for p in pairs])), pairs[0].pf)
        return (time.monotonic() - began) / len(generations)


def against_the_authors(
    folder: Path, checkpoint: Path, rounds: int, n: int, n_references: int, least: float
) -> list[Figure]:
    """Seconds of masc-metric a generation over seconds of the job, and the largest difference.

    Raises:
        AssertionError: the two do not agree.
    """
    work = Comparison(folder / f"authors-{n_references}", checkpoint, n, n_references)
    oracle = Oracle(checkpoint, torch.float32)
    theirs = partial(work.theirs, oracle)
    measured = between(alternate(rounds, theirs, partial(work.ours, "float32"), theirs))
    difference = work.largest_difference(oracle)
    if not difference <= TOLERANCE:
        raise AssertionError(f"{n_references} references: scores differ by {difference}")
    ratio, detail = median_ratio(measured)
    title = f"masc-metric / job, float32, {n_references} ref."
    return [
        at_least(title, ratio, "x", least, f"{detail}; {work.seconds:.2f} s a sample"),
        Figure("  largest difference of a score", difference, ""),
        Figure("  start-up", work.jobs[-1].start, "s"),
    ]


def against_the_authors_in_bfloat16(
    folder: Path, checkpoint: Path, rounds: int, n: int, least: float
) -> list[Figure]:
    """The job in bfloat16 against masc-metric as it comes, in float32, and also in bfloat16."""
    work = Comparison(folder / "bfloat16", checkpoint, n, 1)
    as_it_comes, lowered = Oracle(checkpoint, torch.float32), Oracle(checkpoint, torch.bfloat16)
    theirs = partial(work.theirs, as_it_comes)
    half = partial(work.theirs, lowered)
    measured = alternate(rounds, theirs, partial(work.ours, "bfloat16"), theirs, half)
    ratio, detail = median_ratio(between([columns[:3] for columns in measured]))
    both, both_detail = median_ratio([(columns[3], columns[1]) for columns in measured])
    return [
        at_least(
            "masc-metric in float32 / job in bfloat16, 1 ref.",
            *(ratio, "x", least, f"{detail}; {work.seconds:.2f} s a sample"),
        ),
        Figure("  largest difference of a score", work.largest_difference(as_it_comes), ""),
        Figure("masc-metric in bfloat16 / job in bfloat16, 1 ref.", both, "x", detail=both_detail),
    ]


class Comparison:
    """One workload, scored by masc-metric and by the job."""

    def __init__(self, folder: Path, checkpoint: Path, n: int, n_references: int) -> None:
        self._generations = rendered(n, [SIZE], N_CONCEPTS, "generation")
        self._references = rendered(N_CONCEPTS * n_references, [SIZE], N_CONCEPTS, "reference")
        self._samples = write_shards(folder, "g", self._generations, max(1, n // 3))
        self._photos = write_shards(folder, "r", self._references, 100)
        self._checkpoint = checkpoint
        self._run = folder / "run"
        self.jobs: list[Job] = []

    def theirs(self, oracle: Oracle) -> float:
        """Seconds a generation of masc-metric, over one of each concept: it has no other state."""
        return oracle.seconds_each(self._generations[:N_CONCEPTS], self._references)

    def ours(self, dtype: str) -> float:
        """Seconds a generation of the job, over all."""
        words = self._samples, self._photos, self._checkpoint, f"encoder.dtype={dtype}"
        job = run_job(self._run, *words)
        self.jobs.append(job)
        return job.seconds / job.n

    @property
    def seconds(self) -> float:
        """Seconds a generation of the job, in the median round."""
        return float(np.median([job.seconds / job.n for job in self.jobs]))

    def largest_difference(self, oracle: Oracle) -> float:
        """Of any CP or PF between the two, over what masc-metric scored."""
        rows = self.jobs[-1].rows()
        return max(
            max(abs(rows[key]["cp"] - cp), abs(rows[key]["pf"] - pf))
            for key, (cp, pf) in oracle.scores.items()
        )


def against_a_quick_script(folder: Path, checkpoint: Path, rounds: int, n: int) -> list[Figure]:
    """Seconds of `quick_script` over seconds of the job: both as a user waits for the command."""
    generations = rendered(n, [SIZE], N_CONCEPTS, "generation")
    references = rendered(N_CONCEPTS, [SIZE], N_CONCEPTS, "reference")
    samples = write_shards(folder / "quick" / "samples", "g", generations, max(1, n // 4))
    photos = write_shards(folder / "quick" / "references", "r", references, 100)

    def script() -> float:
        out = folder / "quick" / f"out-{time.monotonic_ns()}"
        words = Path(samples).parent, Path(photos).parent, out, checkpoint
        command = [sys.executable, "-m", "tests.benchmarks.quick_script", *map(str, words)]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return time.monotonic() - began

    def ours() -> float:
        began = time.monotonic()
        run_job(folder / "quick" / "run", samples, photos, checkpoint)
        return time.monotonic() - began

    ratio, detail = median_ratio(alternate(rounds, script, ours))
    return [Figure(f"Ray Data script / job, {n} samples, start-up in", ratio, "x", detail=detail)]


def against_the_bare_encoder(folder: Path, checkpoint: Path, rounds: int, n: int) -> list[Figure]:
    """Seconds of a bare forward pass over seconds of the job a sample: 1 is no overhead at all."""
    generations = rendered(n, [SIZE], N_CONCEPTS, "generation")
    samples = write_shards(folder / "bare", "g", generations, max(1, n // 3))
    references = rendered(N_CONCEPTS, [SIZE], N_CONCEPTS, "reference")
    photos = write_shards(folder / "bare", "r", references, 100)
    workers: list[dict[str, Any]] = []

    def ours() -> float:
        job = run_job(folder / "bare" / "run", samples, photos, checkpoint)
        workers.extend(job.workers)
        return job.seconds / job.n

    with BareEncoder(checkpoint, SIZE) as bare:
        encoder = partial(bare.seconds, 6)
        measured = alternate(rounds, encoder, ours, encoder)
    ratio, detail = median_ratio(between(measured))
    waiting = sum(w["waiting"] for w in workers) / sum(w["waiting"] + w["scoring"] for w in workers)
    return [
        at_least("bare encoder / job, float32", ratio, "", 0.93, detail),
        Figure("  share of a worker's time waiting for samples", waiting, ""),
    ]


def linearity(folder: Path, checkpoint: Path, rounds: int, n: int) -> list[Figure]:
    """1 against 2 workers, 1x against 4x the samples, mixed sizes against one size."""
    photos = write_shards(
        folder / "linear", "r", rendered(N_CONCEPTS, [SIZE], N_CONCEPTS, "reference"), 100
    )
    mixed_sizes = [SIZE, (640, 448), (448, 640)]

    def write(name: str, count: int, sizes: Sequence[tuple[int, int]]) -> str:
        items = rendered(count, sizes, N_CONCEPTS, "generation")
        return write_shards(folder / "linear", name, items, max(1, n // 2))

    one, four = write("one", n, [SIZE]), write("four", 4 * n, [SIZE])
    mixed = write("mixed", n, mixed_sizes)

    def each(samples: str, *words: str) -> Callable[[], float]:
        def run() -> float:
            job = run_job(folder / "linear" / "run", samples, photos, checkpoint, *words)
            return job.seconds / job.n

        return run

    measured = alternate(rounds, each(one), each(one, "workers.count=2"), each(four), each(mixed))
    columns = list(zip(*measured, strict=True))
    figures = []
    for name, a, b in (
        ("1 worker of 2 cores / 2 workers of 1 core", columns[0], columns[1]),
        ("seconds a sample, 1x / 4x the samples", columns[0], columns[2]),
        ("seconds a sample, one size / mixed sizes", columns[0], columns[3]),
    ):
        ratio, detail = median_ratio(list(zip(a, b, strict=True)))
        figures.append(Figure(name, ratio, "x", detail=detail))
    return figures
