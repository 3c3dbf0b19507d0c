"""Ctrl-C in a process that is a command's own: exit status 3, and no traceback.

While a command works, an interrupt is what it is anywhere in Python, and `run_command` answers it.
This is for the time before, when imports take seconds, and after. Imports next to nothing itself.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

from jobs.pipeline.command.exit_status import EXIT_INCOMPLETE


def exit_at_interrupt() -> None:
    """From now on Ctrl-C ends the process at once.

    There is nothing to tidy up yet, and an import interrupted within C may end in anything.
    """
    signal.signal(signal.SIGINT, _exit)


def run_main(main: Callable[[], int]) -> int:
    """The exit status of a command's `main`; what is pressed after it changes nothing any more."""
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return main()
    except KeyboardInterrupt:
        return EXIT_INCOMPLETE
    finally:
        # Python's own end would show an interrupt as a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _exit(number: int, frame: FrameType | None) -> None:
    os.write(2, b"interrupted: SIGINT\n")
    os._exit(EXIT_INCOMPLETE)
