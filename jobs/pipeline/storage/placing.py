"""A file that is too large for memory, made beside its place and put there in one step."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from fsspec import AbstractFileSystem

from jobs.pipeline.storage.filesystem import is_local, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import storage_errors, with_retries
from jobs.pipeline.storage.streams import open_stream

READ_AT_ONCE = 1 << 20

# Images are compressed already, so the fastest level; without a time, so that equal is equal.
COMPRESSIONS: dict[str, Callable[[Any], Any]] = {
    ".gz": lambda file: gzip.GzipFile("", "wb", 1, file, mtime=0),
    ".tgz": lambda file: gzip.GzipFile("", "wb", 1, file, mtime=0),
    ".bz2": lambda file: bz2.BZ2File(file, "wb", compresslevel=1),
    ".xz": lambda file: lzma.LZMAFile(file, "wb", preset=1),  # noqa: SIM115 - closed by its user
}
"""By how a file's name ends."""


@contextmanager
def placed_file(url: str) -> Iterator[IO[bytes]]:
    """A file to write, which takes its place at `url` when the context is left in good order.

    It is compressed where the name says so. Where a file of equal content lies there already, that
    one is left as it is. No reader ever sees a part of it, and an error leaves what was there.

    Raises:
        StorageError: it cannot be written.
    """
    fs, path = open_filesystem(url, keeps_listings=False)
    with storage_errors(redact(url)):
        beside = _beside(fs, path)
    try:
        with storage_errors(redact(url)), beside.open("wb") as file:
            compress = COMPRESSIONS.get(Path(path).suffix)
            if compress is None:
                yield file
            else:
                with compress(file) as compressed:
                    yield compressed
            file.flush()
            os.fsync(file.fileno())
        if _is_equal(fs, path, url, beside):
            return
        if is_local(fs):
            with storage_errors(redact(url)):
                beside.replace(path)
        else:
            with_retries(redact(url), lambda: fs.put_file(str(beside), path))
    finally:
        beside.unlink(missing_ok=True)


def _beside(fs: AbstractFileSystem, path: str) -> Path:
    """Where it is made: local files beside their place, so that a rename is one step."""
    name = f".{Path(path).name}.{uuid.uuid4().hex[:8]}.tmp"
    folder = Path(path).parent if is_local(fs) else Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def remove_unfinished(folder: str, names: Collection[str]) -> None:
    """Remove what writers of files of these names left beside their places, having been killed.

    Who writes one meanwhile fails. On object storage nothing is left.

    Raises:
        StorageError: it cannot be removed.
    """
    fs, path = open_filesystem(folder, keeps_listings=False)
    if not is_local(fs):
        return
    with storage_errors(redact(folder)):
        for beside in Path(path).glob(".*.tmp"):
            name, _, _ = beside.name[1:].removesuffix(".tmp").rpartition(".")
            if name in names:
                beside.unlink(missing_ok=True)


def _is_equal(fs: AbstractFileSystem, path: str, url: str, beside: Path) -> bool:
    """Whether what lies there is what was made."""
    try:
        if with_retries(redact(url), lambda: fs.info(path))["size"] != beside.stat().st_size:
            return False
        return with_retries(redact(url), lambda: _reads_equal(url, beside))
    except FileNotFoundError:
        return False


def _reads_equal(url: str, beside: Path) -> bool:
    with open_stream(url) as there, beside.open("rb") as made:
        while block := made.read(READ_AT_ONCE):
            if there.read(READ_AT_ONCE) != block:
                return False
    return True
