"""Where the samples of a shard lie in it, found by reading their headers and no image."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import IO, Any

from jobs.pipeline.errors import DamagedShard, StorageError
from jobs.pipeline.shards.reading import read_samples
from jobs.pipeline.shards.tar_stream import TarStream
from jobs.pipeline.storage.filesystem import open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries

BYTES_A_READ = 1024
"""Of a remote shard, after a header: mostly a JSON, and the header that follows it."""

NO_IMAGE = 0


@dataclass(frozen=True)
class Located:
    """The samples of a shard that is not compressed."""

    positions: dict[str, tuple[int, int]]
    """By key: bytes from the shard's start to the sample, and its length."""
    n_bytes: int
    """Read for it."""


def locate_samples(
    url: str, wanted: Collection[str], is_over: Callable[[], bool] = lambda: False
) -> Located:
    """Where samples lie, from the first to the last that is wanted.

    Args:
        url: of the shard.
        wanted: keys; some may lie elsewhere.
        is_over: asked after each sample, whether others have found them all.

    Raises:
        FileNotFoundError: the shard is gone.
        StorageError: it cannot be read, or is compressed: a sample of it cannot be read alone.
    """
    fs, path = open_filesystem(url)

    def walk() -> Located:
        with fs.open(path, "rb", block_size=BYTES_A_READ, cache_type="readahead") as file:
            tar = _HeadersOnly(file)
            if file.read(tarfile.BLOCKSIZE)[257:262] != b"ustar":
                raise StorageError(redact(url), "compressed, or no tar: it has to be read whole")
            file.seek(0)
            positions: dict[str, tuple[int, int]] = {}
            left = set(wanted)
            try:
                for sample in read_samples(tar, NO_IMAGE):
                    assert sample.offset is not None
                    assert sample.length is not None
                    positions[sample.key] = (sample.offset, sample.length)
                    left.discard(sample.key)
                    if not left or is_over():
                        break
            except (DamagedShard, tarfile.TarError) as error:
                raise StorageError(redact(url), str(error)) from error
            return Located(positions, tar.n_bytes)

    return with_retries(redact(url), walk)


class _HeadersOnly(TarStream):
    """The bytes of a plain tar of which what lies between headers is not read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.is_plain = True
        self._file: Any = file
        self._bytes: Any = file
        self._at = 0
        self._header_ends = None

    @property
    def n_bytes(self) -> int:
        """What was asked of the storage."""
        return getattr(getattr(self._file, "cache", None), "total_requested_bytes", self._n_read)

    _n_read = 0

    def read(self, size: int) -> bytes:
        content = super().read(size)
        self._n_read += len(content)
        return content

    def seek(self, position: int) -> int:
        if position < self._at:
            raise tarfile.StreamError("a member that begins before the end of the one before it")
        self._at = self._file.seek(position)
        return self._at
