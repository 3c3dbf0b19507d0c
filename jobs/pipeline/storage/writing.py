"""Writing a file in one step: no reader ever sees a part of it."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from fsspec import AbstractFileSystem

from jobs.pipeline.storage.filesystem import is_local, join, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import ATTEMPTS, with_retries

log = logging.getLogger(__name__)


def write_in_one_step(
    fs: AbstractFileSystem, path: str, content: bytes, attempts: int = ATTEMPTS
) -> None:
    """Make `path` hold `content`; no reader ever sees a part of it.

    Locally a file beside it is written, synced and renamed over it; elsewhere it is one PUT.

    Raises:
        StorageError: it cannot be written.
    """
    write = write_beside if is_local(fs) else fs.pipe_file
    with_retries(path, lambda: write(path, content), attempts)


def write_files(directory: str, files: Mapping[str, bytes]) -> None:
    """Write each file, by its name, into a directory, a path or URL; and say that it is done.

    Raises:
        CallError: nothing can be written to such a URL.
        StorageError: a file cannot be written.
    """
    fs, path = open_filesystem(directory)
    for name, content in files.items():
        write_in_one_step(fs, join(path, name), content)
    log.info("wrote %s", redact(directory))


def write_beside(path: str, content: bytes, check: Callable[[], None] | None = None) -> None:
    """Write a local file beside `path`, and rename it; `check` may raise right before that."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if check is not None:
            check()
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
