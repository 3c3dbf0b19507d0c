"""The authors' scores of photos beside ours, of one checkpoint."""

from __future__ import annotations

import json
import math
import os
import shutil
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from masc_core.comparators import load_comparator
from tests.parity.environments import HERE, python_of
from tests.parity.reference import EXPECTED
from tests.photos import by_subject

TOLERANCE = 1e-5
"""Of the largest difference, as a share of the largest figure where that is above 1."""

LEAST_SPREAD = 1e-3
"""A standard deviation, on the same scale, below which equal figures show nothing."""

RECORDED = HERE / "recorded"
"""NAME.json: what the authors' code said of a checkpoint that tests can write again (`fill`)."""

N_PHOTOS = 8

PROMPTS = (
    "a {} on the beach",
    "a photo of a {}",
    "A RED {}, on top of a purple rug; in a forest -- at dusk!",
    "une belle {} \u00e0 c\u00f4t\u00e9 d'un caf\u00e9, \u6c34\u5f69",
    "",
    "an oil painting of a {} " + "among many other things, very many of them, " * 6,
)
"""Short, long beyond what text towers read, of other letters, and empty."""


@dataclass(frozen=True)
class Comparison:
    """One checkpoint by both."""

    system: str
    checkpoint: str
    """Which of those that the script wrote."""
    loaded: str
    compared_with: str
    n: int
    spread: float
    """Standard deviation of the authors' figures, on the scale of `difference`."""
    difference: float
    """The largest, over the largest of 1 and the authors' largest figure."""
    is_recorded: bool
    """Whether what tests hold ours against is what the authors' code says now."""

    @property
    def verdict(self) -> str:
        """`equal`, or why not."""
        if not self.difference <= TOLERANCE:
            return "DIFFERS"
        if not self.is_recorded:
            return "RECORD IS OLD: record=true writes it"
        return "equal" if self.spread >= LEAST_SPREAD else "SHOWS NOTHING: all figures are alike"


def systems() -> list[str]:
    """Those that have a script."""
    return sorted(file.name.removesuffix("_reference.py") for file in HERE.glob("*_reference.py"))


def cases() -> list[dict[str, str]]:
    """Photos of different subjects, each with another prompt, as `reference.Case` reads them."""
    chosen = list(by_subject().values())[:N_PHOTOS]
    return [
        {
            "image": str(photos[0].path.resolve()),
            "prompt": PROMPTS[i % len(PROMPTS)].format(photos[0].noun),
        }
        for i, photos in enumerate(chosen)
    ]


def by_the_authors(system: str, folder: Path) -> list[Path]:
    """Run a system's script in its environment: the folders of checkpoints that it wrote.

    Raises:
        CalledProcessError: the environment cannot be built, or the script failed.
    """
    python = python_of(system, folder)
    written = folder.absolute() / f"{system}-checkpoints"
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir(parents=True)
    listed = folder / "cases.json"
    listed.write_text(json.dumps(cases(), indent=1))
    subprocess.run(
        [python, HERE / f"{system}_reference.py", listed.resolve(), written],
        cwd=written,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), "HF_HUB_OFFLINE": "1"},
        check=True,
    )
    return sorted(file.parent for file in written.glob(f"*/{EXPECTED}"))


def record(system: str, checkpoint: Path) -> None:
    """Keep what the script wrote of a checkpoint, if it is one to be recorded."""
    document = (checkpoint / EXPECTED).read_text()
    if json.loads(document)["weights"] is not None:
        (RECORDED / f"{system}.json").write_text(document + "\n")


def recorded(system: str) -> dict[str, Any]:
    """The document that was kept of a system; empty where there is none."""
    file = RECORDED / f"{system}.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def largest_difference(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Over the largest of 1 and their largest figure; NaN is no figure, and equals none."""
    scale = max(1.0, *map(abs, theirs))
    differences = [abs(a - b) / scale for a, b in zip(theirs, ours, strict=True)]
    return math.nan if any(map(math.isnan, differences)) else max(differences)


def compare(system: str, checkpoint: Path) -> Comparison:
    """Ours on what the script wrote."""
    expected = json.loads((checkpoint / EXPECTED).read_text())
    theirs: Sequence[float] = expected["scores"]
    packages = (f"{name} {version}" for name, version in expected["packages"].items())
    return Comparison(
        system=system,
        checkpoint=checkpoint.name,
        loaded=expected["loaded"],
        compared_with=", ".join(packages),
        n=len(theirs),
        spread=statistics.pstdev(theirs) / max(1.0, *map(abs, theirs)),
        difference=largest_difference(theirs, list(ours(system, checkpoint, expected["settings"]))),
        is_recorded=expected["weights"] is None or _agree(expected, recorded(system)),
    )


def _agree(expected: dict[str, Any], kept: dict[str, Any]) -> bool:
    return (
        kept.get("weights") == expected["weights"]
        and len(kept["scores"]) == len(expected["scores"])
        and largest_difference(expected["scores"], kept["scores"]) <= TOLERANCE
    )


def ours(system: str, checkpoint: Path, settings: dict[str, Any]) -> Iterator[float]:
    """The score of each case."""
    where = str((checkpoint / settings["name_or_path"]).resolve())
    comparator = load_comparator(system, **{**settings, "name_or_path": where})
    for case in cases():
        with Image.open(case["image"]) as image:
            yield comparator(image.convert("RGB"), prompt=case["prompt"])
