"""Many files that take their places together, and those that go with it."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from fsspec import AbstractFileSystem

from jobs.pipeline.errors import StorageError
from jobs.pipeline.storage.filesystem import REQUESTS_AT_ONCE, is_local, join
from jobs.pipeline.storage.retry import with_retries

log = logging.getLogger(__name__)

BESIDE = ".replacement-"
"""Begins the names of folders in which files wait for their places."""


@contextmanager
def _alone_in(folder: str) -> Iterator[None]:
    """Wait until no other process is here with the same folder. The system forgets the dead."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        # Network file systems may have no locks of directories; `check` then has a moment's gap.
        with suppress(OSError):
            fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _remove_leftovers(folder: Path) -> None:
    """Whatever nobody holds the lock of. Where there are no locks, nothing."""
    for beside in folder.glob(f"{BESIDE}*"):
        directory = os.open(beside, os.O_RDONLY)
        try:
            with suppress(OSError):
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(beside, ignore_errors=True)
        finally:
            os.close(directory)


class Replacement:
    """Files written beside their places, in a folder `.replacement-...`, until all are there.

    A context manager: leaving it removes what is beside, and entering it what a process that was
    killed left there, of local folders. Local files are put in place by renames,
    which are taken back if one fails. Object storage has none: there each file is copied to its
    place in one step, and a failure between two of them leaves new files beside old ones.
    """

    def __init__(self, fs: AbstractFileSystem, folder: str) -> None:
        """Of files in `folder`, which is made if it is not there."""
        self._fs = fs
        self._folder = folder
        self._beside = join(folder, f"{BESIDE}{uuid.uuid4().hex[:8]}")
        self._is_local = is_local(fs)
        self._is_new = False
        self._names: list[str] = []
        self._lock = -1
        """Of what is beside, open and locked while this process is here."""

    def __enter__(self) -> Replacement:
        if self._is_local:
            folder = Path(self._folder)
            self._is_new = not folder.exists()
            if self._is_new:
                folder.mkdir(parents=True, exist_ok=True)
            with _alone_in(self._folder):
                _remove_leftovers(folder)
                Path(self._beside).mkdir()
                self._lock = os.open(self._beside, os.O_RDONLY)
                with suppress(OSError):
                    fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def open(self, name: str) -> IO[bytes]:
        """A file to write, whose place will be `name`."""
        self._names.append(name)
        return self._fs.open(join(self._beside, name), "wb")

    def put_in_place(self, instead_of: Iterable[str], check: Callable[[], None]) -> None:
        """Give all that was written its place, and remove the files of these names.

        Args:
            instead_of: names in the folder.
            check: raises where the files are no longer to be replaced. It is called at the last
                moment; of local folders no other process of ours is at this point meanwhile.

        Raises:
            StorageError, OSError: it cannot be done.
        """
        if self._is_local:
            with _alone_in(self._folder):
                check()
                self._rename(instead_of)
            return
        check()
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            list(pool.map(self._copy, self._names))
            list(pool.map(self._remove, set(instead_of).difference(self._names)))

    def _rename(self, instead_of: Iterable[str]) -> None:
        folder, beside = Path(self._folder), Path(self._beside)
        old = beside / "old"
        old.mkdir()
        steps = [(folder / name, old / name) for name in instead_of]
        steps += [(beside / name, folder / name) for name in self._names]
        done: list[tuple[Path, Path]] = []
        try:
            for source, target in steps:
                source.rename(target)
                done.append((source, target))
        except BaseException:  # an interrupt too: what was moved is moved back, then it goes on
            for source, target in reversed(done):
                target.rename(source)
            raise

    def _copy(self, name: str) -> None:
        source, target = join(self._beside, name), join(self._folder, name)
        with_retries(target, lambda: self._fs.cp_file(source, target))

    def _remove(self, name: str) -> None:
        path = join(self._folder, name)
        with suppress(FileNotFoundError):
            with_retries(path, lambda: self._fs.rm_file(path))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_local:
            shutil.rmtree(self._beside, ignore_errors=True)
            os.close(self._lock)
            if error is not None and self._is_new:
                with suppress(OSError):
                    Path(self._folder).rmdir()
            return
        beside = self._beside.rpartition("/")[2]
        try:
            for name in self._names:
                self._remove(join(beside, name))
        except StorageError as failure:
            log.warning("%s is left over: %s", self._beside, failure.reason)
