"""The digest of a file's content, taken while it is read for another purpose, or for its own
sake."""

from __future__ import annotations

import hashlib

from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries
from jobs.pipeline.storage.streams import Stream, open_stream

READ_AT_ONCE = 1 << 20


class DigestingStream:
    """A stream that digests what is read from it."""

    def __init__(self, stream: Stream) -> None:
        """Read `stream`, from its start."""
        self._stream = stream
        self._digest = hashlib.sha256()

    def read(self, n: int, /) -> bytes:
        """The next `n` bytes, fewer only at the end."""
        block = self._stream.read(n)
        self._digest.update(block)
        return block

    def sha256(self) -> str:
        """Of the whole file, in hexadecimal: reads on to its end."""
        while self.read(READ_AT_ONCE):
            pass
        return self._digest.hexdigest()


def sha256_of(url: str) -> str:
    """Of the content of a file, in hexadecimal.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: it cannot be read.
    """

    def read() -> str:
        with open_stream(url) as stream:
            return DigestingStream(stream).sha256()

    return with_retries(redact(url), read)
