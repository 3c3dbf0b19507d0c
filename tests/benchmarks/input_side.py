"""The way in without the encoder: how fast samples are read, decoded and prepared.

The share of a sample's time that holds the interpreter's lock bounds what one worker's threads can
do, however many cores there are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from itertools import product
from pathlib import Path

from jobs.pipeline.cluster.allocator import ENVIRONMENT
from jobs.pipeline.shards.fields import GenerationFields, read_generation
from jobs.pipeline.shards.images import decode_image, decode_mask
from jobs.pipeline.shards.members import RawSample
from jobs.pipeline.shards.reading import read_samples
from jobs.pipeline.threads import MapInThreads, set_torch_threads, torch_threads
from masc_core import MaSC, Prepared
from tests.benchmarks.figures import Figure
from tests.benchmarks.workload import rendered, small_checkpoint, write_shards

FORMATS = ("JPEG", "PNG")
SIDES = (512, 1024)
CORES = 16
"""Of a worker on a GPU node."""


def prepare(masc: MaSC, raw: RawSample) -> Prepared:
    """What the worker's threads do for a sample."""
    fields = GenerationFields()
    read_generation(raw, fields)
    mask = decode_mask(raw, 10**8)
    assert fields.prompt is not None
    return masc.prepare(decode_image(raw, 10**8), mask, fields.prompt, fields.subject)


def share_of_the_lock(masc: MaSC, samples: list[RawSample], seconds: float) -> float:
    """Share of its time for which a thread that prepares samples holds the interpreter's lock.

    A second thread counts as fast as it can, alone and then beside the first; what it loses to the
    first, which has a core of its own, it loses to the lock.
    """
    interval = 0.0002
    alone = _counted(interval, seconds)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            for raw in samples:
                prepare(masc, raw)

    worker = threading.Thread(target=work)
    worker.start()
    beside = _counted(interval, seconds)
    stop.set()
    worker.join()
    return max(0.0, 1 - beside / alone)


def _counted(interval: float, seconds: float) -> float:
    """Steps a second of a loop in Python that asks for the lock after every `interval`."""
    steps, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        busy_until = time.perf_counter() + interval
        while time.perf_counter() < busy_until:
            steps += 1
        time.sleep(0)  # lets go of the lock
    return steps / seconds


def in_a_worker(folder: Path, n: int, seconds: float = 2.0) -> list[Figure]:
    """`input_side` in a process with a worker's environment: its allocator counts in threads."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(folder), str(n), str(seconds)],
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [Figure(**fields) for fields in json.loads(done.stdout)]


def input_side(folder: Path, n: int, seconds: float) -> list[Figure]:
    """Samples a second of one core and of two threads, and what sixteen cores could do.

    Args:
        n: samples to prepare, of each format.
        seconds: for which the lock is watched, of each format, twice.
    """
    set_torch_threads(1)
    masc = MaSC.from_pretrained(str(small_checkpoint(folder)), device="cpu")
    figures = []
    for side, image_format in product(SIDES, FORMATS):
        items = rendered(n, [(side, side)], 3, "generation")
        name = f"{image_format}-{side}"
        shard = Path(
            write_shards(folder / "input", name, items, n, image_format).replace("*", "000000")
        )
        with shard.open("rb") as stream:
            samples = list(read_samples(stream, 10**8))
        for raw in samples[:4]:
            prepare(masc, raw)
        began = time.process_time()
        for raw in samples:
            prepare(masc, raw)
        cpu = (time.process_time() - began) / n
        with torch_threads(2, 1, "decode") as pool:
            began = time.monotonic()
            with (
                shard.open("rb") as stream,
                MapInThreads(
                    lambda raw: prepare(masc, raw), read_samples(stream, 10**8), pool, 8
                ) as all_,
            ):
                for _ in all_:
                    pass
            threaded = (time.monotonic() - began) / n
        locked = share_of_the_lock(masc, samples[:8], seconds)
        # At most one thread at a time holds the lock; at most CORES work.
        fed = min(CORES / cpu, 1 / (locked * cpu) if locked else float("inf"))
        detail = (
            f"{1000 * cpu:.1f} ms of a core a sample; lock held {locked:.0%}; "
            f"2 threads {1 / threaded:.0f}/s; {CORES} cores feed {fed:,.0f}/s"
        )
        figures.append(
            Figure(f"input side, {image_format} {side} px", 1 / cpu, "/s", detail=detail)
        )
    return figures


if __name__ == "__main__":
    found = input_side(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    sys.stdout.write(json.dumps([asdict(figure) for figure in found]))
