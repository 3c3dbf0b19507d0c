"""Weights as their authors publish them: files of torch, outside any hub."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masc_core.checkpoint import CheckpointError

if TYPE_CHECKING:
    from torch import nn


def require_package(package: str, extra: str) -> None:
    """Look it up, as importing it costs seconds.

    Raises:
        ImportError: it is not installed. The message says how it would be.
    """
    if find_spec(package) is None:
        raise ImportError(f"needs the package {package}: pip install 'masc-eval[{extra}]'")


def digest_of_file(path: Path) -> str:
    """What tells its content from others, whatever it is called: `sha256:...`.

    Raises:
        CheckpointError: there is no such file.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    with path.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()[:16]}"


def read_weights(path: Path) -> dict[str, Any]:
    """A state dict, itself or under `state_dict` in the file. No code in it is run.

    Raises:
        CheckpointError: it cannot be read as one.
    """
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the file's bytes make the reader raise
        raise CheckpointError(f"{path}: no weights of torch: {_first_line(error)}") from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not found:
        raise CheckpointError(f"{path}: no state dict, but {type(found).__name__}")
    return found


def give_weights(model: nn.Module, weights: dict[str, Any], path: Path) -> None:
    """Load a state dict, all of it and nothing else.

    Raises:
        CheckpointError: it is of another network.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path}: weights of another network: {reason}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
