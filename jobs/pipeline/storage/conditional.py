"""Writing over the version that was read, and no other."""

from __future__ import annotations

from functools import partial
from typing import Any

from fsspec import AbstractFileSystem

from jobs.pipeline.storage.filesystem import is_local, speaks
from jobs.pipeline.storage.retry import code_of, with_retries
from jobs.pipeline.storage.versions import Version, version_at
from jobs.pipeline.storage.writing import write_beside

REFUSED = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
"""What S3 calls a condition that does not hold."""
NOT_SERVED = ("NotImplemented", "501")
"""Stores that speak S3 and know no conditions."""


class Superseded(Exception):
    """Somebody else wrote the file since it was read."""


def write_over(fs: AbstractFileSystem, path: str, content: bytes, expected: Version | None) -> None:
    """Make `path` hold `content` in one step, if it still is what was read.

    S3 compares and writes in one step of its own (If-Match, If-None-Match). Elsewhere the version
    is asked for right before: locally before the rename, with all of the content written beside.

    Args:
        expected: the version that was read; None where there was no such file.

    Raises:
        Superseded: it is of another version, is gone, or has come. After a failure that was tried
            again this may be this very call's own doing.
        StorageError: it cannot be written.
    """
    if is_local(fs):
        check = partial(_require, fs, path, expected)
        with_retries(path, lambda: write_beside(path, content, check))
    elif speaks(fs, "s3"):
        with_retries(path, lambda: _put_if(fs, path, content, expected))
    else:
        with_retries(path, lambda: _check_and_put(fs, path, content, expected))


def _put_if(fs: AbstractFileSystem, path: str, content: bytes, expected: Version | None) -> None:
    """One PUT that the store refuses when its condition does not hold."""
    condition: dict[str, Any] = {"IfMatch": f'"{expected.tag}"'} if expected else {"mode": "create"}
    try:
        # In one piece: conditions of several would hold for the last alone.
        fs.pipe_file(path, content, chunksize=len(content) + 1, **condition)
    except FileNotFoundError as error:
        raise Superseded(path) from error
    except OSError as error:
        code = code_of(error)
        if isinstance(error, FileExistsError) or code in REFUSED:
            raise Superseded(path) from error
        if code not in NOT_SERVED:
            raise
    else:
        return
    _check_and_put(fs, path, content, expected)


def _check_and_put(
    fs: AbstractFileSystem, path: str, content: bytes, expected: Version | None
) -> None:
    _require(fs, path, expected)
    fs.pipe_file(path, content)


def _require(fs: AbstractFileSystem, path: str, expected: Version | None) -> None:
    fs.invalidate_cache(path.rpartition("/")[0])
    try:
        found: Version | None = version_at(fs, path, path, attempts=1)
    except FileNotFoundError:
        found = None
    if found != expected:
        raise Superseded(path)
