"""A file that is read once, from its start to its end."""

from __future__ import annotations

from types import TracebackType
from typing import IO

from jobs.pipeline.errors import StorageError
from jobs.pipeline.storage.filesystem import open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import storage_errors

STREAM_BLOCK_SIZE = 8 << 20
"""Bytes a request: a request's delay of some 30 ms costs less than its transfer."""

STREAM_BLOCKS = 3
"""Blocks of a stream in memory: one read from, one before it, one on its way."""


class Stream:
    """A file that is read once, from its start to its end.

    What ends before the size that the storage gave for it was cut off: an error, never a shorter
    file.
    """

    def __init__(self, file: IO[bytes], redacted: str) -> None:
        """Read `file`; `redacted` names it in errors."""
        self._file = file
        self._shown = redacted
        self._at = 0
        size = getattr(file, "size", None)
        self._size = size if isinstance(size, int) else None

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def read(self, n: int) -> bytes:
        """The next `n` bytes, fewer only at the end.

        Raises:
            FileNotFoundError: the file is gone.
            StorageError: it cannot be read on.
        """
        with storage_errors(self._shown):
            block = self._file.read(n)
        self._at += len(block)
        if self._size is not None and len(block) < n and self._at < self._size:
            reason = f"cut off after {self._at} of {self._size} bytes"
            raise StorageError(self._shown, reason, is_transient=True)
        return block


def open_stream(url: str) -> Stream:
    """A file to read from its start to its end.

    The next block of a remote one is asked for while this one is read, so that a request's delay
    is not waited for. Memory: `STREAM_BLOCKS` blocks of `STREAM_BLOCK_SIZE`.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: it cannot be opened.
    """
    fs, path = open_filesystem(url)
    redacted = redact(url)
    with storage_errors(redacted):
        file = fs.open(
            path,
            "rb",
            block_size=STREAM_BLOCK_SIZE,
            cache_type="background",
            cache_options={"maxblocks": STREAM_BLOCKS},
        )
    return Stream(file, redacted)
