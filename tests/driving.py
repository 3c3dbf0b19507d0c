"""A command that is watched and disturbed while it runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

PATIENCE = 300.0


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for it."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


class Watched:
    """`python -m jobs.NAME`, in the background."""

    def __init__(self, name: str, words: Sequence[str], out: Path, parts: str) -> None:
        """Start it.

        Args:
            out: what it writes into.
            parts: a pattern of what it commits there, one a shard.
        """
        self.out = out
        self._parts = parts
        self.log = out.parent / f"stderr-{time.monotonic_ns()}"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"jobs.{name}", *words],
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """Of the driver."""
        return self._process.pid

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return self.log.read_text()

    def parts(self) -> dict[str, int]:
        """The committed parts, with their times of change."""
        return {path.name: path.stat().st_mtime_ns for path in self.out.glob(self._parts)}

    def until_parts(self, more: int = 1) -> None:
        """Wait until so many parts are committed beyond those that were there."""
        enough = len(self.parts()) + more
        until(
            lambda: len(self.parts()) >= enough or self._process.poll() is not None,
            f"{more} parts; it said {self.stderr}",
        )
        assert self._process.poll() is None, f"ended before it was disturbed: {self.stderr}"

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def ended(self) -> int:
        """Its exit status, once it has ended."""
        return self._process.wait(timeout=PATIENCE)


class Evaluation(Watched):
    """`jobs.evaluate` on the shards in a folder, into `folder/run`."""

    def __init__(self, folder: Path, *words: str) -> None:
        """Start it."""
        self.run = folder / "run"
        shards = f"samples={folder}/generations-*.tar", f"references={folder}/references-*.tar"
        words = *shards, f"run={self.run}", *words
        super().__init__("evaluate", words, self.run, "scores/*.parquet")


def workers() -> list[int]:
    """The processes of workers, on clusters that this process started."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if " ".join(process.cmdline()).startswith("ray::Worker"):
                found.append(process.pid)
    return found


def kill(pid: int) -> None:
    """As the kernel does that is out of memory."""
    os.kill(pid, signal.SIGKILL)
