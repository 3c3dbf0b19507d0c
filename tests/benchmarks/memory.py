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
    """Memory at `n` and at `10 * n` samples, on a small encoder: what grows is ours."""
    checkpoint = small_checkpoint(folder)
    items = rendered(100, [(256, 256), (320, 200), (200, 320)], 3, "generation")
    photos = write_shards(folder / "memory", "r", rendered(3, [(256, 256)], 3, "reference"), 100)
    peaks = []
    for count in (n, 10 * n):
        name = f"g{count}"
        # The same hundred images under other names: what is measured is the number of samples.
        for shard in range(count // 100):
            write_shards(folder / "memory" / name / f"{shard:05d}", "g", items, 100)
        command = [
            *(sys.executable, "-m", "jobs.evaluate", f"run={folder}/memory/run-{count}"),
            *(f"samples={folder}/memory/{name}/*/g-*.tar", f"references={photos}"),
            *(f"encoder.name_or_path={checkpoint}", "encoder.max_num_patches=64"),
            *("workers.count=1", "overwrite=true"),
        ]
        peaks.append(peaks_of(command))
    (driver, worker), (driver_10, worker_10) = peaks
    return [
        at_most(
            f"worker's memory, {10 * n:,} / {n:,} samples",
            worker_10 / worker,
            "x",
            1.05,
            f"{worker:,.0f} MB, {worker_10:,.0f} MB",
        ),
        at_most(
            f"driver's memory, {10 * n:,} / {n:,} samples",
            driver_10 / driver,
            "x",
            1.05,
            f"{driver:,.0f} MB, {driver_10:,.0f} MB",
        ),
    ]
