"""Which checkpoint a name stands for, found out without loading it.

Whoever describes a run does this before any worker starts: a wrong path is one line there, and the
digest of the weights becomes part of the run's fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from masc_core.defaults import DEMO, DEMO_CHECKPOINT, MODEL_TYPES

log = logging.getLogger(__name__)

TRANSFORMERS = (5, 6)
"""The first release of transformers that loads checkpoints as they are loaded here. The package
installs beside older ones, which some comparators need, and the encoder is not to be had there."""

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PROCESSOR = "preprocessor_config.json"
PROCESSORS = (PROCESSOR, "processor_config.json")
TOKENIZERS = ("tokenizer.json", "vocab.json")
MERGES = "merges.txt"
"""What a tokenizer without a tokenizer.json has beside its vocabulary."""
CONFIGURATIONS = ("config.json", *PROCESSORS, "tokenizer_config.json")
"""Files in which an `auto_map` names Python code that comes with the checkpoint."""


@dataclass(frozen=True)
class CheckpointKind:
    """What a checkpoint has to be for whoever wants to use it."""

    model_types: tuple[str, ...]
    """Its `model_type`, by its config.json, is one of these; none means that it names none."""
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a directory has beside weights: by what it is called, files of which one is there."""
    ignores_code: bool = False
    """Whether Python code that it asks for is neither run nor a reason to refuse it: who loads it
    names a class of transformers."""


SIGLIP = CheckpointKind(MODEL_TYPES, {"image processor": PROCESSORS})
"""The encoder."""


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
    model_type: str

    @property
    def is_naflex(self) -> bool:
        """Whether it is an encoder of free image size."""
        return self.model_type == "siglip2"


def installed_transformers() -> tuple[int, ...]:
    """The release that is installed, as `TRANSFORMERS` is given."""
    return tuple(map(int, version("transformers").split(".")[:2]))


def require_transformers(name_or_path: str) -> None:
    """Look at this before a checkpoint is loaded by transformers.

    Raises:
        CheckpointError: what is installed is too old.
    """
    if installed_transformers() < TRANSFORMERS:
        least = ".".join(map(str, TRANSFORMERS))
        raise CheckpointError(
            f"{name_or_path}: needs transformers {least} or later, and {version('transformers')} "
            "is installed: pip install 'masc-eval[encoder]'"
        )


def find_checkpoint(
    name_or_path: str,
    revision: str | None = None,
    trust_remote_code: bool = False,
    kind: CheckpointKind = SIGLIP,
) -> Checkpoint:
    """The checkpoint of this name.

    Args:
        name_or_path: directory, hub id, or "demo".
        revision: hub branch, tag or commit.
        trust_remote_code: whether one that asks for Python code of its own may have it.
        kind: what it has to be.

    Raises:
        CheckpointError: no such directory or hub id, no safetensors weights in it or nothing else
            that its kind needs, another kind of model, or one that asks for code of its own and
            may not; or transformers is too old for any.
    """
    require_transformers(name_or_path)
    if name_or_path == DEMO:
        # By its name, as every machine has it in a place of its own.
        found = _in_directory(DEMO_CHECKPOINT, trust_remote_code=False, kind=kind)
        return replace(found, name_or_path=DEMO)
    if (directory := directory_of(name_or_path)) is not None:
        return _in_directory(directory, trust_remote_code, kind)
    return _on_hub(name_or_path, revision, trust_remote_code, kind)


def directory_of(name_or_path: str) -> Path | None:
    """The absolute directory that this is; None for what can only be a hub id.

    Raises:
        CheckpointError: it can be neither.
    """
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path.resolve()
    # A hub id is NAME or OWNER/NAME.
    if name_or_path.startswith((".", "/", "~")) or name_or_path.count("/") > 1:
        raise CheckpointError(f"{name_or_path}: no such directory")
    return None


def _in_directory(path: Path, trust_remote_code: bool, kind: CheckpointKind) -> Checkpoint:
    where = str(path)
    if not (path / "config.json").is_file():
        raise CheckpointError(f"{where}: no config.json in this directory; is it a checkpoint?")
    if not (trust_remote_code or kind.ignores_code):
        _refuse_code([path / name for name in CONFIGURATIONS if (path / name).is_file()], where)
    model_type = _model_type(path / "config.json", where, kind)
    weights = sorted(path.glob("*.safetensors"))
    if not weights or not any((path / name).is_file() for name in WEIGHTS):
        raise CheckpointError(f"{where}: no weights in this directory ({' or '.join(WEIGHTS)})")
    for need, files in kind.needs.items():
        if not any((path / name).is_file() for name in files):
            raise CheckpointError(f"{where}: no {need} in this directory ({files[0]})")
    # The processor, the tokenizer and code that is run change scores as the weights do.
    code = path.glob("*.py") if trust_remote_code else ()
    digest = digest_of([*weights, *path.glob("*.json"), *path.glob(MERGES), *code])
    return Checkpoint(str(path), None, f"sha256:{digest}", model_type)


def _on_hub(
    name: str, revision: str | None, trust_remote_code: bool, kind: CheckpointKind
) -> Checkpoint:
    where = name
    with hub_errors_in_a_line(where):
        config, *others = _configurations_on_hub(name, revision)
    if not (trust_remote_code or kind.ignores_code):
        _refuse_code([config, *others], where)
    commit = config.parent.name
    model_type = _model_type(config, where, kind)
    if lacks_on_hub(name, commit, WEIGHTS):
        at = revision or "its default branch"
        raise CheckpointError(f"{where}: no weights at {at} ({' or '.join(WEIGHTS)})")
    return Checkpoint(name, commit, f"commit:{commit}", model_type)


@contextmanager
def hub_errors_in_a_line(name: str) -> Iterator[None]:
    """Look for a hub id that is no directory within this.

    Raises:
        CheckpointError: the hub has no such thing, or there is no way to it.
    """
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils import logging as hub_logging

    hub_logging.set_verbosity_error()  # it warns of every retry; we say how it ended
    log.info("no directory %s: looking for it on the hub", name)
    try:
        yield
    except GatedRepoError as error:
        raise CheckpointError(
            f"{name}: gated; accept its licence on huggingface.co and log in (hf auth login)"
        ) from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{name}: no such directory, and as a hub id neither cached here nor reachable"
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{name}: no such directory, nor hub id: {reason}") from error


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


def lacks_on_hub(name: str, commit: str, files: Sequence[str]) -> bool:
    """Whether the hub says that none of these files is there; a machine that describes a run need
    not have them, nor the hub."""
    from huggingface_hub import file_exists, try_to_load_from_cache

    cached = [try_to_load_from_cache(name, file, revision=commit) for file in files]
    if any(isinstance(file, str) for file in cached):
        return False
    try:
        return not any(file_exists(name, file, revision=commit) for file in files)
    except Exception:  # noqa: BLE001 - no answer, for whatever reason: who loads it will see
        return False


def _refuse_code(configurations: list[Path], where: str) -> None:
    """Loading with `trust_remote_code` unset would leave the code out, and load something else."""
    for file in configurations:
        try:
            asks = _asks_for_code(json.loads(file.read_text()))
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{where}: {file.name} is not JSON: {error}") from error
        if asks:
            raise CheckpointError(
                f"{where}: {file.name} asks for Python code of the checkpoint's own (auto_map); "
                "if you have read and trust it, encoder.trust_remote_code=true runs it"
            )


def _asks_for_code(document: Any) -> bool:
    if isinstance(document, list):
        return any(_asks_for_code(each) for each in document)
    if not isinstance(document, dict):
        return False
    return bool(document.get("auto_map")) or any(_asks_for_code(v) for v in document.values())


def _model_type(config: Path, where: str, kind: CheckpointKind) -> str:
    if not kind.model_types:
        return ""
    try:
        model_type = json.loads(config.read_text())["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{where}: config.json names no model_type") from error
    if model_type not in kind.model_types:
        expected = " or ".join(kind.model_types)
        raise CheckpointError(f"{where}: model_type is {model_type!r}, not {expected}")
    return model_type


def digest_of(files: Iterable[Path]) -> str:
    """What tells these files from others, by their names and content, in whatever order."""
    whole = hashlib.sha256()
    for file in sorted(files):
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        whole.update(f"{file.name} {digest}\n".encode())
    return whole.hexdigest()[:16]
