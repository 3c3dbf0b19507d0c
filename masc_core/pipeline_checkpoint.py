"""Which pipeline of diffusers a name stands for, found out without loading it.

A pipeline is a directory, or a repository on the hub, with a `model_index.json` at its top and a
folder for each of its parts: models, tokenizers, a scheduler.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from masc_core.checkpoint import (
    Checkpoint,
    CheckpointError,
    digest_of,
    directory_of,
    hub_errors_in_a_line,
    lacks_on_hub,
)

INDEX = "model_index.json"

Needs = tuple[tuple[str, ...], ...]
"""Files that a part needs: one of each tuple."""


def _model(weights: str) -> Needs:
    """In one file, or in several with an index; of no variant, which is not what is loaded."""
    return (("config.json",), (f"{weights}.safetensors", f"{weights}.safetensors.index.json"))


OF_DIFFUSERS = _model("diffusion_pytorch_model")
OF_TRANSFORMERS = _model("model")
TOKENIZER: Needs = (("vocab.json", "tokenizer.json"),)
SCHEDULER: Needs = (("scheduler_config.json",),)

_IS_READ = re.compile(r"(diffusion_pytorch_)?model(-\d+-of-\d+)?\.safetensors|.*\.json|merges\.txt")
"""What of a part changes what it computes: not its variants, as `model.fp16.safetensors`."""


@dataclass(frozen=True)
class PipelineKind:
    """What a pipeline has to be for whoever wants to use it."""

    class_name: str
    """Of diffusers, by its model_index.json."""
    parts: Mapping[str, Needs]
    """By their folders, those that are used."""

    def files(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What it needs: a part, and paths below the top of which one is there."""
        for part, needs in self.parts.items():
            for names in needs:
                yield part, tuple(f"{part}/{name}" for name in names)


STABLE_DIFFUSION_XL = PipelineKind(
    "StableDiffusionXLPipeline",
    {
        "unet": OF_DIFFUSERS,
        "vae": OF_DIFFUSERS,
        "text_encoder": OF_TRANSFORMERS,
        "text_encoder_2": OF_TRANSFORMERS,
        "tokenizer": TOKENIZER,
        "tokenizer_2": TOKENIZER,
        "scheduler": SCHEDULER,
    },
)


def find_pipeline(name_or_path: str, revision: str | None, kind: PipelineKind) -> Checkpoint:
    """The pipeline of this name. Its `model_type` is the class of the pipeline.

    Args:
        name_or_path: directory or hub id.
        revision: hub branch, tag or commit.
        kind: what it has to be.

    Raises:
        CheckpointError: no such directory or hub id, another pipeline, or one that lacks a part or
            its safetensors weights.
    """
    path = directory_of(name_or_path)
    if path is None:
        return _on_hub(name_or_path, revision, kind)
    _check_class(path / INDEX, name_or_path, kind)
    for part, names in kind.files():
        if not any((path / name).is_file() for name in names):
            raise _lacking(name_or_path, part, names)
    return Checkpoint(str(path), None, f"sha256:{_digest(path, kind)}", kind.class_name)


def _on_hub(name: str, revision: str | None, kind: PipelineKind) -> Checkpoint:
    from huggingface_hub import hf_hub_download

    with hub_errors_in_a_line(name):
        index = Path(hf_hub_download(name, INDEX, revision=revision))
    _check_class(index, name, kind)
    # The cache keeps files under the commit that the revision stands for.
    commit = index.parent.name
    for part, names in kind.files():
        if lacks_on_hub(name, commit, names):
            raise _lacking(name, part, names)
    return Checkpoint(name, commit, f"commit:{commit}", kind.class_name)


def _check_class(index: Path, where: str, kind: PipelineKind) -> None:
    if not index.is_file():
        raise CheckpointError(f"{where}: no {INDEX} in this directory; is it a pipeline?")
    try:
        class_name = json.loads(index.read_text())["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{where}: {INDEX} names no class") from error
    if class_name != kind.class_name:
        raise CheckpointError(f"{where}: a {class_name}, not a {kind.class_name}")


def _lacking(where: str, part: str, names: tuple[str, ...]) -> CheckpointError:
    return CheckpointError(f"{where}: its {part} is incomplete: no {' or '.join(names)}")


def _digest(path: Path, kind: PipelineKind) -> str:
    """Of the files of all parts, each under its part's name."""
    whole = hashlib.sha256()
    for part in sorted(kind.parts):
        read = [file for file in (path / part).iterdir() if _IS_READ.fullmatch(file.name)]
        whole.update(f"{part} {digest_of(read)}\n".encode())
    return whole.hexdigest()[:16]
