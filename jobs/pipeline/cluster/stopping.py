"""Ending a run before it is done: at a preemption notice, at Ctrl-C, when another driver has it."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from jobs.pipeline.command.interrupts import SIGNALS

log = logging.getLogger(__name__)


class Stop:
    """Whether the run is asked to end, and by when.

    Within its context SIGTERM and SIGINT ask for it. While nobody heeds it, before and after the
    shards are scored, they interrupt as Ctrl-C does.
    """

    def __init__(self, grace_seconds: float) -> None:
        """Nobody has asked yet; who does by a signal leaves `grace_seconds`."""
        self._grace = grace_seconds
        self.reason: str | None = None
        """Why the run is to end; None while it is not."""
        self.by = 0.0
        """Until when shards that were begun may be finished, by the monotonic clock."""
        self.is_heeded = False
        """Set by whoever looks at `reason` again and again."""

    def __enter__(self) -> Stop:
        self._before: dict[signal.Signals, Any] = {n: signal.getsignal(n) for n in SIGNALS}
        self.listen()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def listen(self) -> None:
        """Hear the signals; again, after someone else (as `ray.init` does) has taken them."""
        for number in SIGNALS:
            signal.signal(number, self._heard)

    @contextmanager
    def deferred(self, what: str) -> Iterator[None]:
        """Within, a signal is noted, and interrupts at the end.

        For what must not be interrupted: Ray, as it starts or ends, may die of it.

        Args:
            what: is waited for, for the message.
        """
        noted: list[str] = []

        def note(number: int, frame: FrameType | None) -> None:
            noted.append(signal.Signals(number).name)
            log.warning("%s: waiting for %s", noted[-1], what)

        for number in SIGNALS:
            signal.signal(number, note)
        try:
            yield
        except SystemExit:
            noted.append("SIGTERM")  # which ray.init takes for itself, and turns into this
        finally:
            self.listen()
            if noted:
                raise KeyboardInterrupt(noted[0])

    def ask(self, reason: str, grace_seconds: float) -> None:
        """Ask for the end within so many seconds; a second time, at once."""
        again = self.reason is not None
        self.by = time.monotonic() + (0.0 if again else grace_seconds)
        self.reason = self.reason or reason

    def _heard(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if not self.is_heeded:
            raise KeyboardInterrupt(name)
        self.ask(name, self._grace)
        left = max(0.0, self.by - time.monotonic())
        log.warning("%s: no new shards; those begun may take %.0f s; again: at once", name, left)
