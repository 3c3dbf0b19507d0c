"""What a nightly job writes, and where; every write to HOME that is its own goes through here.

HOME/driver.json                       who has it now
HOME/history.parquet                   a row a checkpoint
HOME/runs/<checkpoint>/                a run, as `jobs.evaluate` writes it
HOME/runs/<checkpoint>/compare/        compare.json, compare.md, junit.xml, and pin-... of each
HOME/segmented/<checkpoint>/           its shards with masks, where a segmenter is asked for
HOME/segmented/references/             the same of the references
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from jobs.pipeline.errors import CallError, Incomplete
from jobs.pipeline.nights.history import History, NotAHistory
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.storage.conditional import Superseded, write_over
from jobs.pipeline.storage.filesystem import absolute, join, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries
from jobs.pipeline.storage.versions import Version, read_versioned
from jobs.pipeline.storage.writing import write_in_one_step

HISTORY = "history.parquet"


class Home:
    """The directory of all nights, local or on object storage."""

    def __init__(self, url: str) -> None:
        """Name it; nothing is read or written yet."""
        self.url = absolute(url)
        self._fs, self._path = open_filesystem(self.url, keeps_listings=False)
        self.is_ours: Callable[[], bool] = lambda: True
        """Whether this process still has it; nothing is written when it has not."""
        self._version: Version | None = None
        """Of the history that was read or written last."""

    def run(self, checkpoint: str) -> str:
        """The URL of a checkpoint's run."""
        return join(self.url, "runs", checkpoint)

    def segmented(self, name: str) -> str:
        """The URL of shards with masks: a checkpoint's, or the references'."""
        return join(self.url, "segmented", name)

    def read_history(self) -> History:
        """What was judged so far.

        Raises:
            CallError: the file is none that a nightly job wrote.
            StorageError: it cannot be read.
        """
        try:
            self._version, content = read_versioned(self._fs, join(self._path, HISTORY))
        except FileNotFoundError:
            self._version = None
            return History()
        try:
            return History.from_parquet(content)
        except NotAHistory as error:
            raise CallError(
                f"home={redact(self.url)}: {HISTORY} is no history: {error}; move it away"
            ) from error

    def write_history(self, history: History) -> None:
        """Put it in the place of the one that was read, in one step.

        Raises:
            Incomplete: another call has written it since.
            StorageError: it cannot be written.
        """
        path, content = join(self._path, HISTORY), history.to_parquet()
        self._require_ours()
        # Of an answer that was lost the write is tried again, and finds its own.
        with suppress(Superseded):
            write_over(self._fs, path, content, self._version)
        self._version, found = read_versioned(self._fs, path)
        if found != content:
            raise Incomplete(f"{HISTORY} was written by another call")

    def write(self, name: str, content: bytes) -> None:
        """A file, by its path in HOME, in one step.

        Raises:
            StorageError: it cannot be written.
        """
        self._require_ours()
        write_in_one_step(self._fs, join(self._path, name), content)

    def read(self, name: str) -> bytes | None:
        """A file, by its path in HOME; None where there is none."""
        path = join(self._path, name)
        try:
            return with_retries(path, lambda: self._fs.cat_file(path))
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """A folder, by its path in HOME, with all that is in it; none is nothing to do.

        Raises:
            StorageError: it cannot be removed.
        """
        self._require_ours()
        path = join(self._path, name)

        def remove() -> None:
            if self._fs.exists(path):
                self._fs.rm(path, recursive=True)

        with_retries(path, remove)

    def as_run(self) -> RunDirectory:
        """Its `driver.json` is read and written as a run's is."""
        return RunDirectory(self.url)

    def _require_ours(self) -> None:
        if not self.is_ours():
            raise Incomplete("another call has taken this home")
