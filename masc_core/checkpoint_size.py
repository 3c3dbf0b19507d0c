"""How many weights a checkpoint has, by the headers of its files; loads none of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from masc_core.checkpoint import WEIGHTS
from masc_core.defaults import DEMO, DEMO_CHECKPOINT, Dtype

ITEM_BYTES: dict[Dtype, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Of one weight."""


def n_weights(name_or_path: str, revision: str | None = None) -> int | None:
    """Numbers in the weights of a checkpoint that was found.

    Args:
        name_or_path: directory, hub id, or "demo".
        revision: commit on the hub.

    Returns:
        None where it cannot be told: its files are damaged, or neither here nor is the hub
        reachable.

    Example:
        >>> n_weights("demo") > 1_000_000
        True
    """
    where = Path(DEMO_CHECKPOINT if name_or_path == DEMO else name_or_path).expanduser()
    if where.is_dir():
        return n_weights_of(_weights_in(where))
    cached = _cached(name_or_path, revision)
    return n_weights_of(cached) if cached else said_by_hub(name_or_path, revision)


def n_weights_of(files: Iterable[Path]) -> int | None:
    """Numbers in safetensors files together; None where one is damaged or not there."""
    from safetensors import SafetensorError, safe_open

    total = 0
    try:
        for file in files:
            with safe_open(file, framework="numpy") as weights:
                total += sum(math.prod(weights.get_slice(n).get_shape()) for n in weights.keys())  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError):
        return None
    return total


def _weights_in(directory: Path) -> list[Path]:
    """The files that transformers would load."""
    single, index = (directory / name for name in WEIGHTS)
    if single.is_file():
        return [single]
    try:
        names = set(json.loads(index.read_text())["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [index]  # which is no weights, so that nothing is told
    return [directory / name for name in sorted(names)]


def _cached(name: str, revision: str | None) -> list[Path]:
    """The files of weights, where they were downloaded; none where one of them was not."""
    from huggingface_hub import try_to_load_from_cache

    for file in WEIGHTS:
        found = try_to_load_from_cache(name, file, revision=revision)
        if isinstance(found, str):
            files = _weights_in(Path(found).parent)
            return files if all(each.is_file() for each in files) else []
    return []


def said_by_hub(name: str, revision: str | None) -> int | None:
    """Numbers in the weights of a hub id; None where it has no safetensors, or does not answer."""
    from huggingface_hub import HfApi

    with suppress(Exception):  # no answer, for whatever reason: whoever loads it will see
        found = HfApi().model_info(name, revision=revision, expand=["safetensors"], timeout=10)
        return found.safetensors.total if found.safetensors is not None else None
    return None
