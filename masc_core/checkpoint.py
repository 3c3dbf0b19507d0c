"""Which checkpoint a name stands for, found out without loading it.

Whoever describes a run does this before any worker starts: a wrong path is one line there, and the
digest of the weights becomes part of the run's fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from masc_core.defaults import DEMO, DEMO_CHECKPOINT, MODEL_TYPES

log = logging.getLogger(__name__)

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PROCESSOR = "preprocessor_config.json"
PROCESSORS = (PROCESSOR, "processor_config.json")
CONFIGURATIONS = ("config.json", *PROCESSORS, "tokenizer_config.json")
"""Files in which an `auto_map` names Python code that comes with the checkpoint."""

HOW_TO_TRUST = "; if you have read and trust it, encoder.trust_remote_code=true runs it"


class CheckpointError(ValueError):
    """A checkpoint cannot be used. The message begins with its name or path, and says why."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that exists."""

    name_or_path: str
    """Absolute directory, hub id, or "demo"."""
    revision: str | None
    """Commit on the hub; None for a directory."""
    weights: str
    """What tells these weights from others: `sha256:...` of the files, or `commit:...`."""
    is_naflex: bool


def find_checkpoint(
    name_or_path: str,
    revision: str | None = None,
    trust_remote_code: bool = False,
    model_types: Collection[str] = MODEL_TYPES,
    how_to_trust: str = HOW_TO_TRUST,
) -> Checkpoint:
    """The checkpoint of this name, by default of SigLIP or SigLIP2.

    Args:
        name_or_path: directory, hub id, or "demo".
        revision: hub branch, tag or commit.
        trust_remote_code: whether one that asks for Python code of its own may have it.
        model_types: of which its config.json has to name one.
        how_to_trust: ends the line that refuses such code; empty where nothing would run it.

    Raises:
        CheckpointError: no such directory or hub id, no safetensors weights or processor in it,
            another kind of model, or one that asks for code of its own and may not.
    """
    expected = _Expected(model_types, None if trust_remote_code else how_to_trust)
    if name_or_path == DEMO:
        # By its name, as every machine has it in a place of its own.
        own = replace(expected, how_to_trust=how_to_trust)
        return replace(_in_directory(DEMO_CHECKPOINT, own), name_or_path=DEMO)
    if Path(name_or_path).expanduser().is_dir():
        return _in_directory(Path(name_or_path).expanduser().resolve(), expected)
    # A hub id is NAME or OWNER/NAME.
    if name_or_path.startswith((".", "/", "~")) or name_or_path.count("/") > 1:
        raise CheckpointError(f"{name_or_path}: no such directory")
    return _on_hub(name_or_path, revision, expected)


@dataclass(frozen=True)
class _Expected:
    """What a checkpoint has to be."""

    model_types: Collection[str]
    how_to_trust: str | None
    """Ends the line that refuses Python code of its own; None: it may have such."""


def _in_directory(path: Path, expected: _Expected) -> Checkpoint:
    where = str(path)
    if not (path / "config.json").is_file():
        raise CheckpointError(f"{where}: no config.json in this directory; is it a checkpoint?")
    _refuse_code(
        [path / name for name in CONFIGURATIONS if (path / name).is_file()], expected, where
    )
    model_type = _model_type(path / "config.json", expected, where)
    weights = sorted(path.glob("*.safetensors"))
    if not weights or not any((path / name).is_file() for name in WEIGHTS):
        raise CheckpointError(f"{where}: no weights in this directory ({' or '.join(WEIGHTS)})")
    if not any((path / name).is_file() for name in PROCESSORS):
        raise CheckpointError(f"{where}: no image processor in this directory ({PROCESSOR})")
    # The processor, the tokenizer and code that is run change scores as the weights do.
    code = path.glob("*.py") if expected.how_to_trust is None else ()
    digest = _digest([*weights, *path.glob("*.json"), *code])
    return Checkpoint(str(path), None, f"sha256:{digest}", model_type == "siglip2")


def _on_hub(name: str, revision: str | None, expected: _Expected) -> Checkpoint:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils import logging as hub_logging

    hub_logging.set_verbosity_error()  # it warns of every retry; we say how it ended

    where = name
    log.info("no directory %s: looking for it on the hub", name)
    try:
        config, *others = _configurations_on_hub(name, revision)
    except GatedRepoError as error:
        raise CheckpointError(
            f"{where}: gated; accept its licence on huggingface.co and log in (hf auth login)"
        ) from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{where}: no such directory, and as a hub id neither cached here nor reachable"
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{where}: no such directory, nor hub id: {reason}") from error
    _refuse_code([config, *others], expected, where)
    commit = config.parent.name
    is_naflex = _model_type(config, expected, where) == "siglip2"
    return Checkpoint(name, commit, f"commit:{commit}", is_naflex)


def _configurations_on_hub(name: str, revision: str | None) -> list[Path]:
    """The `CONFIGURATIONS` that are there, `config.json` first, all of one commit."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    first, *others = CONFIGURATIONS
    found = [Path(hf_hub_download(name, first, revision=revision))]
    # The cache keeps files under the commit that the revision stands for.
    commit = found[0].parent.name
    for file in others:
        with suppress(EntryNotFoundError):
            found.append(Path(hf_hub_download(name, file, revision=commit)))
    return found


def _refuse_code(configurations: list[Path], expected: _Expected, where: str) -> None:
    """Loading with `trust_remote_code` unset would leave the code out, and load something else."""
    if expected.how_to_trust is None:
        return
    for file in configurations:
        try:
            asks = _asks_for_code(json.loads(file.read_text()))
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{where}: {file.name} is not JSON: {error}") from error
        if asks:
            raise CheckpointError(
                f"{where}: {file.name} asks for Python code of the checkpoint's own (auto_map)"
                f"{expected.how_to_trust}"
            )


def _asks_for_code(document: Any) -> bool:
    if isinstance(document, list):
        return any(_asks_for_code(each) for each in document)
    if not isinstance(document, dict):
        return False
    return bool(document.get("auto_map")) or any(_asks_for_code(v) for v in document.values())


def _model_type(config: Path, expected: _Expected, where: str) -> str:
    try:
        model_type = json.loads(config.read_text())["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{where}: config.json names no model_type") from error
    if model_type not in expected.model_types:
        raise CheckpointError(
            f"{where}: model_type is {model_type!r}, not {' or '.join(expected.model_types)}"
        )
    return model_type


def _digest(files: list[Path]) -> str:
    whole = hashlib.sha256()
    for file in sorted(files):
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        whole.update(f"{file.name} {digest}\n".encode())
    return whole.hexdigest()[:16]
