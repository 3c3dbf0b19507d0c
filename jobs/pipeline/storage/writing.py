"""Writing a file in one step: no reader ever sees a part of it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path

from fsspec import AbstractFileSystem

from jobs.pipeline.storage.filesystem import is_local
from jobs.pipeline.storage.retry import ATTEMPTS, with_retries


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
