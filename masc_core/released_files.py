"""Files as authors released them, which no library finds by itself: a directory, or the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from masc_core.checkpoint import CheckpointError, digest_of, directory_of, hub_errors_in_a_line


@dataclass(frozen=True)
class ReleasedFiles:
    """Files that exist, those of the hub perhaps not on this machine yet."""

    name_or_path: str
    """Absolute directory, or hub id."""
    revision: str | None
    """Commit on the hub; None for a directory."""
    weights: str
    """What tells these files from others: `sha256:...` of them, or `commit:...`."""

    def path(self, file: str) -> Path:
        """One of them, on this machine.

        Raises:
            CheckpointError: it cannot be downloaded.
        """
        if self.revision is None:
            return Path(self.name_or_path, file)
        from huggingface_hub import hf_hub_download

        with hub_errors_in_a_line(self.name_or_path):
            return Path(hf_hub_download(self.name_or_path, file, revision=self.revision))


def find_released_files(
    name_or_path: str, revision: str | None, files: Sequence[str]
) -> ReleasedFiles:
    """The files of these names.

    Args:
        name_or_path: directory, or hub id.
        revision: hub branch, tag or commit.
        files: on the hub the first is downloaded to learn the commit, so it should be small.

    Raises:
        CheckpointError: no such directory or hub id, or one of the files is not in it.
    """
    directory = directory_of(name_or_path)
    if directory is not None:
        for file in files:
            if not (directory / file).is_file():
                raise CheckpointError(f"{directory}: no {file} in this directory")
        digest = digest_of(directory / file for file in files)
        return ReleasedFiles(str(directory), None, f"sha256:{digest}")
    from huggingface_hub import hf_hub_download

    with hub_errors_in_a_line(name_or_path):
        first = Path(hf_hub_download(name_or_path, files[0], revision=revision))
    # The cache keeps files under the commit that the revision stands for.
    commit = first.parent.name
    return ReleasedFiles(name_or_path, commit, f"commit:{commit}")
