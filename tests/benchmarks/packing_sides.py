"""The two sides that packing is measured by, each in a process of its own.

`python -m tests.benchmarks.packing_sides SIDE ROOT OUT` prints its seconds without imports, and the
megabytes of memory at its peak. It imports nothing large, which would hide what packing holds.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import sys
import tarfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

from jobs.pipeline.datasets.dreambenchplus import METHODS
from jobs.pipeline.packing import PackConfig, pack


def plainly(root: Path, out: Path) -> None:
    """Every image and mask read, decoded and written into tars, a process a core."""
    images = sorted((root / "samples").rglob("*.jpg")) + sorted((root / "images").rglob("*.jpg"))
    n_cores = os.cpu_count() or 1
    out.mkdir()
    with multiprocessing.get_context("fork").Pool(n_cores) as pool:
        pool.map(
            partial(_write_share, root, out),
            [(n, images[n::n_cores]) for n in range(n_cores)],
            chunksize=1,
        )


def _write_share(root: Path, out: Path, share: tuple[int, list[Path]]) -> None:
    number, images = share
    with tarfile.open(out / f"{number}.tar", "w") as tar:
        for i, path in enumerate(images):
            for suffix, file in (("jpg", path), ("mask.png", mask_of(root, path))):
                content = file.read_bytes()
                Image.open(io.BytesIO(content)).load()
                member = tarfile.TarInfo(f"{i}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def mask_of(root: Path, image: Path) -> Path:
    """Where the tree has the mask of an image."""
    parts = [part for part in image.relative_to(root).parts if part != "tgt_image"]
    within = ["refs", *parts[1:]] if parts[0] == "images" else parts
    return root.joinpath("masks", *within).with_suffix(".png")


def by_the_job(root: Path, out: Path) -> None:
    """What `jobs.pack` does."""
    methods = [
        name for name, directory in METHODS.items() if (root / "samples" / directory).is_dir()
    ]
    done = pack(PackConfig(kind="dreambenchplus", source=str(root), methods=methods, out=str(out)))
    assert not done.missing.documents()
    assert not any(written.without_mask for written in done.written.values())


SIDES: dict[str, Callable[[Path, Path], None]] = {"plain": plainly, "job": by_the_job}


if __name__ == "__main__":
    run = SIDES[sys.argv[1]]
    began = time.monotonic()
    run(Path(sys.argv[2]), Path(sys.argv[3]))
    seconds = time.monotonic() - began
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    sys.stdout.write(json.dumps([seconds, peak]))
