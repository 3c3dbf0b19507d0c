"""What the scripts of old environments have in common.

They are called as `NAME_reference.py CASES.json OUT`, with OUT as the working directory and the
project on the path, and write, for each checkpoint that they make, a folder OUT/ANY/ that holds it
and `expected.json` (`write_expected`). Imports nothing of the project, and runs on old Pythons and
old packages.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

EXPECTED = "expected.json"


@dataclass(frozen=True)
class Case:
    """A generation to score."""

    image: Path
    prompt: str


def read_cases() -> list[Case]:
    """Those that the script was called with."""
    return [
        Case(Path(own["image"]), own["prompt"]) for own in json.loads(Path(sys.argv[1]).read_text())
    ]


def out(name: str) -> Path:
    """An empty folder for a checkpoint of this name."""
    folder = Path(sys.argv[2]) / name
    folder.mkdir(parents=True)
    return folder


def write_expected(
    folder: Path,
    scores: Sequence[float],
    *,
    loaded: str,
    packages: Iterable[str],
    settings: Mapping[str, Any] | None = None,
    weights: Mapping[str, Sequence[int]] | None = None,
) -> None:
    """What ours is held against.

    Args:
        folder: of `out`.
        scores: by the authors' code, one a case.
        loaded: a few words on how ours loads the checkpoint, for the table.
        packages: whose versions the table names.
        settings: of `ComparatorSettings`; a `name_or_path` is relative to the folder, and is the
            folder itself where it is left out.
        weights: shapes by name, where the checkpoint is recorded for the tests (`recorded/`).
    """
    document = {
        "loaded": loaded,
        "packages": {name: version(name) for name in packages},
        "settings": {"name_or_path": ".", **(settings or {})},
        "scores": list(scores),
        "weights": None if weights is None else {name: list(own) for name, own in weights.items()},
    }
    (folder / EXPECTED).write_text(json.dumps(document, indent=1))


def fill(state: Mapping[str, Any]) -> None:
    """Overwrite floating-point weights, in place, by random numbers that their names decide.

    So a test can write the same checkpoint knowing only names and shapes. Matrices keep the size of
    what goes through them, and gains are near one.
    """
    import numpy as np
    import torch

    for name, weight in state.items():
        if not weight.is_floating_point():
            continue
        drawn = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(weight.numel())
        values = torch.from_numpy(drawn).reshape(weight.shape)
        if weight.ndim > 1:
            values *= 1.5 * weight[0].numel() ** -0.5
        else:
            values = 0.1 * values + name.endswith("weight")
        with torch.no_grad():
            weight.copy_(values)
