"""What authors published, laid out as they liked: files of a directory or of a hub repository.

A model is often several of them: weights in one, the tokenizer or processor of what it was trained
from in another. The others are looked for in the directory of the first, each in a directory of its
own name (`flan-t5-xxl` for `google/flan-t5-xxl`), and else on the hub.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masc_core.checkpoint import CheckpointError, digest_of, directory_of, hub_errors_in_a_line
from masc_core.checkpoint_size import n_weights_of

if TYPE_CHECKING:
    import torch

WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""What holds a model's weights, the first that is there; an index names several files."""

DESCRIBED_BY = ("*.json", "*.txt", "*.model", "*.jinja")
"""Configurations, tokenizers, processors, templates: small, and so fetched at once."""


@dataclass(frozen=True)
class Release:
    """A directory or hub repository that exists."""

    name_or_path: str
    """Absolute directory, or hub id."""
    commit: str | None
    """On the hub; None for a directory."""
    folder: Path
    """Where `DESCRIBED_BY` lie."""

    def identity(self, weights: Sequence[str] = ()) -> str:
        """What tells it from others: `commit:...`, or `sha256:...` of its files.

        Args:
            weights: names of which the first that is there counts as well.

        Raises:
            CheckpointError: none of them is there, as far as can be told without the hub.
        """
        if self.commit is not None:
            return f"commit:{self.commit}"
        files = [*self.weight_files(weights)] if weights else []
        files += [file for pattern in DESCRIBED_BY for file in self.folder.glob(pattern)]
        return f"sha256:{digest_of(files)}"

    def read_json(self, name: str) -> dict[str, Any]:
        """One of its small files.

        Raises:
            CheckpointError: it is not there, or no JSON object.
        """
        text = self.file(name).read_text()
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{self.name_or_path}: {name} is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise CheckpointError(f"{self.name_or_path}: {name} is not a JSON object")
        return document

    def file(self, *names: str) -> Path:
        """The first of these small files that is there.

        Raises:
            CheckpointError: none is.
        """
        for name in names:
            if (self.folder / name).is_file():
                return self.folder / name
        raise CheckpointError(f"{self.name_or_path}: no {' or '.join(names)}")

    def weight_files(self, choices: Sequence[str] = WEIGHTS) -> list[Path]:
        """The files of its weights, downloaded where it is on the hub.

        Args:
            choices: names of which the first that is there counts.

        Raises:
            CheckpointError: none is there, or an index names one that is not.
        """
        for choice in choices:
            found = self._fetched(choice)
            if found is None:
                continue
            if not choice.endswith(".index.json"):
                return [found]
            parts = self._parts_of(choice)
            files = [self._fetched(part) for part in parts]
            if None in files:
                lacking = parts[files.index(None)]
                raise CheckpointError(f"{self.name_or_path}: no {lacking}, which {choice} names")
            return [file for file in files if file is not None]
        raise CheckpointError(f"{self.name_or_path}: no weights ({' or '.join(choices)})")

    def n_weights(self, choices: Sequence[str] = WEIGHTS) -> int | None:
        """Numbers in its weights, about, by the files that are on this machine; None where they are
        not.

        Of `.safetensors` it is told by their headers; what torch pickled would have to be read, and
        is taken to be stored as 16 bits.
        """
        if not any((self.folder / choice).is_file() for choice in choices):
            return None
        files = replace(self, commit=None).weight_files(choices)
        if all(file.suffix == ".safetensors" for file in files):
            return n_weights_of(files)
        return sum(file.stat().st_size for file in files) // 2

    def _parts_of(self, index: str) -> list[str]:
        named = self.read_json(index).get("weight_map")
        if not isinstance(named, dict) or not named:
            raise CheckpointError(f"{self.name_or_path}: {index} has no weight_map")
        parts = sorted({str(part) for part in named.values()})
        if any(Path(part).name != part for part in parts):
            raise CheckpointError(f"{self.name_or_path}: {index} names files of other directories")
        return parts

    def _fetched(self, name: str) -> Path | None:
        """A file, from the hub where it is there; None where it is not."""
        if self.commit is None or (self.folder / name).is_file():
            return self.folder / name if (self.folder / name).is_file() else None
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        with hub_errors_in_a_line(self.name_or_path):
            try:
                return Path(hf_hub_download(self.name_or_path, name, revision=self.commit))
            except LocalEntryNotFoundError:  # the hub is not reachable, and may well have it
                return None
            except EntryNotFoundError:
                return None


def find_release(name_or_path: str, revision: str | None = None) -> Release:
    """The release of this name; of one on the hub what is small is downloaded.

    Raises:
        CheckpointError: no such directory or hub id.
    """
    directory = directory_of(name_or_path)
    if directory is not None:
        return Release(str(directory), None, directory)
    from huggingface_hub import snapshot_download

    with hub_errors_in_a_line(name_or_path):
        folder = Path(
            snapshot_download(name_or_path, revision=revision, allow_patterns=[*DESCRIBED_BY])
        )
    return Release(name_or_path, folder.name, folder)


def find_companion(release: Release, name_or_path: str) -> Release:
    """Another release that this one needs: in its own directory, or where its name says.

    Raises:
        CheckpointError: it is in neither place.
    """
    beside = release.folder / Path(name_or_path).name
    if release.commit is None and beside.is_dir():
        return find_release(str(beside))
    try:
        return find_release(name_or_path)
    except CheckpointError as error:
        if release.commit is not None:
            raise
        raise CheckpointError(
            f"{release.name_or_path}: needs {Path(name_or_path).name} in this directory, or {error}"
        ) from error


def read_weights(files: Sequence[Path], where: str) -> dict[str, torch.Tensor]:
    """Weights by name, on the CPU; of safetensors mapped from their files rather than read.

    Args:
        files: `.safetensors`, or pickled by torch, of which tensors alone are read.
        where: for messages.

    Raises:
        OSError: one is damaged, or holds something else than tensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from masc_core.loading import load_torch_file

    weights: dict[str, torch.Tensor] = {}
    for file in files:
        if file.suffix != ".safetensors":
            weights |= load_torch_file(file, where)
            continue
        try:
            weights |= load_file(file)
        except SafetensorError as error:
            raise OSError(f"{where}: {file.name} is damaged: {error}") from error
    return weights


def below(weights: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Those whose names begin so, without it."""
    return {
        name.removeprefix(prefix): own for name, own in weights.items() if name.startswith(prefix)
    }
