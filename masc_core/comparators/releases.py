"""What authors published, laid out as they liked: files of a directory or of a hub repository.

A model is often several of them: weights in one, the tokenizer or processor of what it was trained
from in another. The others are looked for in the directory of the first, each in a directory of its
own name (`flan-t5-xxl` for `google/flan-t5-xxl`), and else on the hub.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masc_core.checkpoint import CheckpointError, digest_of, directory_of, hub_errors_in_a_line
from masc_core.checkpoint_size import n_weights_of, said_by_hub

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


class NotReachedError(CheckpointError):
    """A file is not on this machine, and whether the hub has it cannot be told."""


@dataclass(frozen=True)
class Release:
    """A directory or hub repository that exists."""

    name_or_path: str
    """Absolute directory, or hub id."""
    commit: str | None
    """On the hub; None for a directory."""

    @cached_property
    def folder(self) -> Path:
        """Where `DESCRIBED_BY` lie on this machine.

        Raises:
            CheckpointError: the hub is needed, and does not give them.
        """
        if self.commit is None:
            return Path(self.name_or_path)
        return _small_files(self.name_or_path, self.commit)

    def __getstate__(self) -> dict[str, Any]:
        """Without the folder: the hub's cache is elsewhere on another machine, or empty."""
        return {name: own for name, own in vars(self).items() if name != "folder"}

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
            CheckpointError: none is there, or an index names one that is not; or the hub is needed
                and not reachable.
        """
        not_reached = None
        for choice in choices:
            try:
                found = self._fetched(choice)
            except NotReachedError as error:  # the next may be here
                not_reached = not_reached or error
                continue
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
        if not_reached is not None:
            raise not_reached
        raise CheckpointError(f"{self.name_or_path}: no weights ({' or '.join(choices)})")

    def n_weights(self, choices: Sequence[str] = WEIGHTS) -> int | None:
        """Numbers in its weights, about, by the shapes that files on this machine tell, or by what
        the hub says.

        Args:
            choices: as in `weight_files`.

        Returns:
            None where neither says it; none is downloaded for it.
        """
        try:
            files = self._files_here(choices)
            if files:
                return _n_weights_in(files, self.name_or_path)
        except (CheckpointError, OSError):  # damaged; whoever loads it will say so
            return None
        # It counts what transformers would load, and nothing that is called otherwise.
        is_asked = self.commit is not None and WEIGHTS[0] in choices
        return said_by_hub(self.name_or_path, self.commit) if is_asked else None

    def _files_here(self, choices: Sequence[str]) -> list[Path]:
        """The files of its weights, if all are on this machine: an index may be, and they not."""
        choice = next((name for name in choices if (self.folder / name).is_file()), None)
        if choice is None:
            return []
        parts = self._parts_of(choice) if choice.endswith(".index.json") else [choice]
        files = [self.folder / part for part in parts]
        return files if all(file.is_file() for file in files) else []

    def _parts_of(self, index: str) -> list[str]:
        named = self.read_json(index).get("weight_map")
        if not isinstance(named, dict) or not named:
            raise CheckpointError(f"{self.name_or_path}: {index} has no weight_map")
        parts = sorted({str(part) for part in named.values()})
        if any(Path(part).name != part for part in parts):
            raise CheckpointError(f"{self.name_or_path}: {index} names files of other directories")
        return parts

    def _fetched(self, name: str) -> Path | None:
        """A file, from the hub where it is there; None where it is not.

        Raises:
            NotReachedError: that cannot be told.
        """
        if self.commit is None or (self.folder / name).is_file():
            return self.folder / name if (self.folder / name).is_file() else None
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        with hub_errors_in_a_line(self.name_or_path):
            try:
                return Path(hf_hub_download(self.name_or_path, name, revision=self.commit))
            except LocalEntryNotFoundError as error:  # the hub may well have it
                not_reached = error
            except EntryNotFoundError:
                return None
        reason = str(not_reached.__cause__ or not_reached).strip().partition("\n")[0]
        raise NotReachedError(
            f"{self.name_or_path}: {name} is not cached here, and the hub cannot be reached: "
            f"{reason}"
        ) from not_reached


def find_release(name_or_path: str, revision: str | None = None) -> Release:
    """The release of this name; of one on the hub what is small is downloaded.

    Raises:
        CheckpointError: no such directory or hub id.
    """
    directory = directory_of(name_or_path)
    if directory is not None:
        return Release(str(directory), None)
    folder = _small_files(name_or_path, revision)
    found = Release(name_or_path, folder.name)
    vars(found)["folder"] = folder  # so that the hub is asked once
    return found


def _small_files(name: str, revision: str | None) -> Path:
    """Where the hub's cache on this machine has `DESCRIBED_BY`, which are downloaded: a directory
    that is called as the commit is."""
    from huggingface_hub import snapshot_download

    with hub_errors_in_a_line(name):
        return Path(snapshot_download(name, revision=revision, allow_patterns=[*DESCRIBED_BY]))


def find_companion(release: Release, name_or_path: str) -> Release:
    """Another release that this one needs: in its own directory, or where its name says.

    Raises:
        CheckpointError: it is in neither place.
    """
    if release.commit is None:
        beside = release.folder / Path(name_or_path).name
        if beside.is_dir():
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


def _n_weights_in(files: Sequence[Path], where: str) -> int | None:
    """Numbers in files together, by the shapes that they tell; None where one is damaged.

    Raises:
        OSError: one that torch pickled is.
    """
    if all(file.suffix == ".safetensors" for file in files):
        return n_weights_of(files)
    from masc_core.loading import load_torch_file

    states = (load_torch_file(file, where, "meta") for file in files)
    return sum(own.numel() for state in states for own in state.values())


def below(weights: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Those whose names begin so, without it."""
    return {
        name.removeprefix(prefix): own for name, own in weights.items() if name.startswith(prefix)
    }
