"""Ctrl-C and SIGTERM in a process that is a command's own: exit status 3, and no traceback.

While a command works either is a `KeyboardInterrupt`, which `run_command` answers. This is also for
the time before, when imports take seconds, and for Python's own end. Imports next to nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

from jobs.pipeline.command.exit_status import EXIT_INCOMPLETE

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def exit_at_interrupt() -> None:
    """From now on a signal ends the process at once.

    There is nothing to tidy up yet, and an import interrupted within C may end in anything.
    """
    for number in SIGNALS:
        signal.signal(number, _exit)


def run_main(main: Callable[[], int]) -> int:
    """The exit status of a command's `main`; a signal that comes after it changes nothing."""
    try:
        for number in SIGNALS:
            signal.signal(number, _interrupt)
        return main()
    except KeyboardInterrupt as error:
        _say(str(error))
        return EXIT_INCOMPLETE
    finally:
        # Python's own end would show an interrupt as a traceback.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _exit(number: int, frame: FrameType | None) -> None:
    _say(signal.Signals(number).name)
    os._exit(EXIT_INCOMPLETE)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _say(name: str) -> None:
    os.write(2, f"interrupted: {name}\n".encode())
