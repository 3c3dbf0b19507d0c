"""One driver a run: a file in it says whose it is, and is kept fresh while that driver lives."""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import ATTEMPTS, reason_of

log = logging.getLogger(__name__)

REFRESH_SECONDS = 5.0
EXPIRES_SECONDS = 30.0
"""A lease that was not refreshed for so long is a dead driver's. No clock but the watcher's counts:
those of two machines need not agree."""

PID_NAMESPACE = Path("/proc/self/ns/pid")


@dataclass(frozen=True)
class Holder:
    """Who has a run."""

    host: str
    pid: int
    since: str
    """UTC, ISO 8601."""
    pid_namespace: str
    """Within which `pid` counts: containers may share a host's name, and not its processes."""
    id: str
    """Random: tells a driver from a later one of the same host and pid."""

    @classmethod
    def this_process(cls) -> Holder:
        """A new holder."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(socket.gethostname(), os.getpid(), now, _pid_namespace(), uuid.uuid4().hex)

    @classmethod
    def of(cls, lease: dict[str, Any]) -> Holder | None:
        """Whom a lease names; None where no driver wrote it. What a later version adds is left."""
        holder = lease["holder"]
        if not isinstance(holder, dict):
            return None
        own: dict[str, Any] = {field.name: holder.get(field.name) for field in fields(cls)}
        is_one = all(isinstance(v, int if name == "pid" else str) for name, v in own.items())
        return cls(**own) if is_one else None

    def is_dead(self) -> bool:
        """Whether it is known to be: False where it cannot be told."""
        if (self.host, self.pid_namespace) != (socket.gethostname(), _pid_namespace()):
            return False
        if self.pid == os.getpid():
            return True  # an earlier process of our number, as in a container that was restarted
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False  # or another process has its number by now: its silence will tell


class Lease:
    """Holds a run for as long as the context lasts.

    Storage without locks cannot rule out that two drivers that start within the same second both
    take a run; the one that wrote first then finds out at its next refresh. No sample would be lost
    or counted twice: parts are committed by name.
    """

    def __init__(
        self,
        run: RunDirectory,
        on_loss: Callable[[], None],
        refresh_seconds: float = REFRESH_SECONDS,
        expires_seconds: float = EXPIRES_SECONDS,
        setting: str = "run",
    ) -> None:
        """Name the run; `__enter__` takes it.

        Args:
            on_loss: called from another thread.
            setting: the setting that names it, for messages.
        """
        self._shown = f"{setting}={redact(run.url)}"
        self._run = run
        self._on_loss = on_loss
        self._refresh = refresh_seconds
        self._expires = expires_seconds
        self._holder = Holder.this_process()
        self._released = Event()
        self._heartbeats = 0
        self.told: Callable[[], Mapping[str, Any]] = dict
        """What each heartbeat says of how far it is, in JSON's types; called from the lease's own
        thread."""
        self.is_lost = False
        """Whether another driver has taken the run."""

    def __enter__(self) -> Lease:
        """Take the run; waits where it cannot be told at once whether another driver lives.

        Raises:
            CallError: another driver has it, and lives; or the run cannot be written to.
        """
        try:
            self._wait_for_the_dead()
            self._write()
        except (FileNotFoundError, StorageError) as error:  # no such bucket; no access to it
            raise CallError(f"{self._shown}: cannot be written to: {reason_of(error)}") from error
        self._keeper = Thread(target=self._keep, name="lease", daemon=True)
        self._keeper.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._released.set()
        self._keeper.join()
        if not self.is_lost:
            try:
                self._run.write_lease(None)
            except StorageError as storage_error:
                log.warning("the run's lease could not be removed: %s", storage_error)

    def _wait_for_the_dead(self) -> None:
        """Return when nobody has the run."""
        first = standing = self._read()
        waited = 0.0
        while standing is not None:
            holder = Holder.of(standing)
            assert holder is not None
            if standing != first:
                raise CallError(
                    f"{self._shown} has a driver: host {holder.host}, "
                    f"pid {holder.pid}, since {holder.since}. Wait for it or stop it"
                )
            if holder.is_dead() or waited >= self._expires:
                return
            if not waited:
                log.info(
                    "host %s, pid %d took this run at %s; waiting up to %g s to see if it lives",
                    holder.host, holder.pid, holder.since, self._expires,
                )  # fmt: skip
            time.sleep(self._refresh / 5)
            waited += self._refresh / 5
            standing = self._read()

    def _keep(self) -> None:
        while not self._released.wait(self._refresh):
            try:
                standing = self._read(attempts=1)
                if standing is not None and standing["holder"]["id"] != self._holder.id:
                    self.is_lost = True
                    self._on_loss()
                    return
                self._write(attempts=1)
            except StorageError as error:
                # The next beat may get through; if none does, the commits say so.
                log.warning("the run's lease could not be refreshed: %s", error)

    def _read(self, attempts: int = ATTEMPTS) -> dict[str, Any] | None:
        """What `driver.json` says; None where it names no holder as drivers do."""
        standing = self._run.read_lease(attempts)
        return standing if standing and Holder.of(standing) else None

    def _write(self, attempts: int = ATTEMPTS) -> None:
        self._heartbeats += 1
        document: dict[str, Any] = {"holder": asdict(self._holder), "heartbeats": self._heartbeats}
        if told := self.told():
            document["progress"] = dict(told)
        self._run.write_lease(document, attempts)


def _pid_namespace() -> str:
    """As Linux names it; empty elsewhere."""
    return str(PID_NAMESPACE.readlink()) if PID_NAMESPACE.is_symlink() else ""
