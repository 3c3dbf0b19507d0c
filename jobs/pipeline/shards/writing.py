"""Samples to a shard: the counterpart of `reading`."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from types import TracebackType
from typing import IO


def tar_of_sample(key: str, members: Mapping[str, bytes]) -> bytes:
    """A sample as a piece of a tar; equal samples make equal bytes.

    Args:
        key: of the sample.
        members: by suffix.
    """
    pieces = []
    for suffix in sorted(members):
        # A header's own time is 0. PAX takes names of any length.
        header = tarfile.TarInfo(f"{key}.{suffix}")
        header.size = len(members[suffix])
        padding = bytes(-header.size % tarfile.BLOCKSIZE)
        pieces += [header.tobuf(tarfile.PAX_FORMAT), members[suffix], padding]
    return b"".join(pieces)


class ShardWriter:
    """A tar of samples, one after another. A context manager: leaving it ends the archive."""

    def __init__(self, file: IO[bytes]) -> None:
        """Write to `file`, which is empty."""
        self._file = file
        self._size = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Two empty blocks, and whole records, as tar itself does.
        end = 2 * tarfile.BLOCKSIZE
        self._file.write(bytes(end + -(self._size + end) % tarfile.RECORDSIZE))

    def add(self, sample: bytes) -> None:
        """The next sample, as `tar_of_sample` gives it: one write, whatever its members."""
        self._file.write(sample)
        self._size += len(sample)
