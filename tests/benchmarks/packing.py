"""Packing DreamBench++ against a plain read, decode and write of its images on as many cores."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from jobs.pipeline.datasets.dreambenchplus import METHODS
from tests.benchmarks.figures import Figure, alternate, at_least, at_most, median_ratio
from tests.benchmarks.workload import rendered

SIDE = 512
N_PICTURES = 20
"""Different ones; a tree links them again and again."""

PROMPTS = 9
"""Of a concept, as in DreamBench++."""


def write_pictures(folder: Path) -> Path:
    """JPEGs, with a PNG of the same name as the mask of each."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, item in enumerate(rendered(N_PICTURES, [(SIDE, SIDE)], 6, "generation")):
        item.image.save(folder / f"{i}.jpg", quality=95)
        Image.fromarray(item.mask).save(folder / f"{i}.png")
    return folder


def write_tree(root: Path, pictures: Path, n_concepts: int, methods: Sequence[str]) -> int:
    """A tree in the layout of DreamBench++ with so many concepts; its pairs of image and mask."""
    n_linked = 0

    def link(image: Path, mask: Path) -> None:
        nonlocal n_linked
        for path in (image, mask):
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(pictures / f"{n_linked % N_PICTURES}{path.suffix}", path)
        n_linked += 1

    for number in range(n_concepts):
        index, concept = f"{number:03d}", f"object_{number:03d}_thing"
        link(root / f"images/object/{index}.jpg", root / f"masks/refs/object/{index}.png")
        captions = root / f"captions/object/{index}.txt"
        captions.parent.mkdir(parents=True, exist_ok=True)
        captions.write_text("\n".join(["thing", *(f"a thing {i}" for i in range(PROMPTS))]))
        for method in methods:
            samples = root / "samples" / METHODS[method]
            masks = root / "masks" / "samples" / METHODS[method] / concept
            (samples / "text" / concept).mkdir(parents=True)
            for i in range(PROMPTS):
                link(samples / "tgt_image" / concept / f"{i}_0.jpg", masks / f"{i}_0.png")
                (samples / "text" / concept / f"{i}_0.txt").write_text(f"a thing {i}")
    return n_linked


def measured(side: str, root: Path, out: Path) -> tuple[float, float]:
    """Seconds and megabytes of one side."""
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.packing_sides", side, str(root), str(out)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, peak = json.loads(done.stdout)
    return seconds, peak


def against_plain_reading(
    folder: Path, rounds: int, n_concepts: int, methods: Sequence[str] = tuple(METHODS)
) -> list[Figure]:
    """The plain side's seconds over the job's; and its memory with ten times as many images."""
    root = folder / "packing" / f"tree-{n_concepts}-{len(methods)}"
    small = folder / "packing" / f"tree-{n_concepts}-{len(methods)}-tenth"
    for each in (root, small):
        shutil.rmtree(each, ignore_errors=True)
    pictures = write_pictures(folder / "packing" / "pictures")
    n = write_tree(root, pictures, n_concepts, methods)
    write_tree(small, pictures, max(1, n_concepts // 10), methods)
    peaks: list[float] = []

    def job() -> float:
        seconds, peak = measured("job", root, folder / "packing" / "job")
        peaks.append(peak)
        return seconds

    both = alternate(rounds, lambda: measured("plain", root, folder / "packing" / "plain")[0], job)
    ratio, detail = median_ratio(both)
    rate = n / min(seconds for _, seconds in both)
    tenth = measured("job", small, folder / "packing" / "job-tenth")[1]
    name = f"{n:,} pairs of {SIDE} px"
    return [
        at_least(f"packing / a plain read, decode and write, {name}", ratio, "x", 0.7, detail),
        Figure("  pairs a second", rate, "/s"),
        at_most(
            *("  its memory over that of a tenth", max(peaks) / tenth, "x", 1.3),
            f"{tenth:,.0f} MB, {max(peaks):,.0f} MB",
        ),
    ]
