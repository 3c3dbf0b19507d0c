"""Refuses what starts Ray, a server or a browser, while `REFUSALS` names a file to note it in.

Python imports a module of this name by itself, before a program's first line.
"""

from __future__ import annotations

import os
import sys
from typing import Any

REFUSALS = "MASC_EVAL_TESTS_REFUSALS"

PROGRAMS = ("raylet", "gcs_server", "chrom", "firefox", "geckodriver", "slurm")
"""What the names of such programs begin with, where they are not written in Python."""

PROBE = ("::1", 0)
"""Where libraries listen for a moment, to see whether this machine has IPv6."""


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: sees what Python is about to do."""
    if event not in ("socket.bind", "subprocess.Popen") or REFUSALS not in os.environ:
        return
    if event == "socket.bind":
        address = arguments[1]
        # One that is no pair is a file, by which the processes of one program share memory.
        refused = isinstance(address, tuple) and address[:2] != PROBE
        doing = f"listens at {address}"
    else:
        program = os.path.basename(str(arguments[0]))  # noqa: PTH119
        refused = program.startswith(PROGRAMS)
        doing = f"starts {program}"
    if refused:
        with open(os.environ[REFUSALS], "a") as file:  # noqa: PTH123
            file.write(f"{doing}\n")
        raise RuntimeError(f"a test that is not marked `services` {doing}")


sys.addaudithook(hook)
