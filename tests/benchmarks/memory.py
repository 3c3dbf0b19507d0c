"""Peak memory of driver and worker, at a number of samples and at ten times as many."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.workload import rendered, small_checkpoint, write_shards
from tests.masc_core.segmenters.checkpoints import write_clipseg


def _resident(pid: int) -> tuple[float, float]:
    """Resident MB of a process, and of the largest Ray worker among its descendants."""
    try:
        process = psutil.Process(pid)
        own = process.memory_info().rss / 2**20
        descendants = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return 0.0, 0.0
    worker = 0.0
    for each in descendants:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if " ".join(each.cmdline()).startswith("ray::Worker"):
                worker = max(worker, each.memory_info().rss / 2**20)
    return own, worker


def peaks_of(command: list[str]) -> tuple[float, float]:
    """Peak resident MB of a command's own process, and of the largest worker that it starts."""
    driver = worker = 0.0
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    # Or it would stop when the pipe is full.
    lines: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(target=lines.extend, args=(process.stderr,))
    reader.start()
    while process.poll() is None:
        driver, worker = map(max, (driver, worker), _resident(process.pid))
        time.sleep(0.2)
    reader.join()
    if process.returncode:
        raise RuntimeError("".join(lines))
    return driver, worker


def growth(folder: Path, n: int) -> list[Figure]:
    """Memory of both shard jobs at `n` and at `10 * n` samples, on small networks: what grows is
    ours."""
    items = rendered(100, [(256, 256), (320, 200), (200, 320)], 3, "generation")
    photos = write_shards(folder / "memory", "r", rendered(3, [(256, 256)], 3, "reference"), 100)
    for count in (n, 10 * n):
        # The same hundred images in other files: what is measured is the number of samples.
        for shard in range(count // 100):
            write_shards(folder / "memory" / f"g{count}", f"{shard:05d}", items, 100)
    clipseg = folder / "memory" / "clipseg"
    jobs = {
        "evaluate": lambda run: [
            *(f"references={photos}", f"run={run}", "encoder.max_num_patches=64"),
            f"encoder.name_or_path={small_checkpoint(folder)}",
        ],
        "segment": lambda run: [
            *(f"out={run}", "segmenter.name=clipseg", "member=other"),
            f"segmenter.name_or_path={clipseg if clipseg.exists() else write_clipseg(clipseg)}",
        ],
    }
    figures = []
    for name, words in jobs.items():
        peaks = []
        for count in (n, 10 * n):
            samples = f"samples={folder}/memory/g{count}/*.tar"
            more = (samples, "workers.count=1", "overwrite=true")
            run = folder / "memory" / f"{name}-{count}"
            peaks.append(peaks_of([sys.executable, "-m", f"jobs.{name}", *words(run), *more]))
        for who, least, most in zip(("driver", "worker"), *peaks, strict=True):
            title = f"{name}: {who}'s memory, {10 * n:,} / {n:,} samples"
            detail = f"{least:,.0f} MB, {most:,.0f} MB"
            figures.append(at_most(title, most / least, "x", 1.05, detail))
    return figures
