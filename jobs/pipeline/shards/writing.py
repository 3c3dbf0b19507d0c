"""Samples to a shard: the counterpart of `reading`."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from types import TracebackType
from typing import IO


class ShardWriter:
    """A tar of samples, one after another. A context manager: leaving it ends the archive.

    Equal samples make equal bytes, whenever and by whomever they are written.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Write to `file`, from where it stands."""
        # PAX takes names of any length. A header's own time is 0, so that equal samples are equal.
        self._tar = tarfile.TarFile(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tar.close()

    def add(self, key: str, members: Mapping[str, bytes]) -> None:
        """The next sample: its key, and its members by suffix."""
        for suffix in sorted(members):
            member = tarfile.TarInfo(f"{key}.{suffix}")
            member.size = len(members[suffix])
            self._tar.addfile(member, io.BytesIO(members[suffix]))
        # Or the archive's whole index stays in memory; public, but the stubs lag.
        self._tar.members = []  # type: ignore[attr-defined]
