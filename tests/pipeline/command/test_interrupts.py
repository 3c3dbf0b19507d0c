"""A signal in a command's own process: before, in and after its work."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from jobs.pipeline.command.interrupts import SIGNALS

pytestmark = pytest.mark.slow

PROGRAM = """
import atexit, signal, sys, time
# Whoever runs the tests in the background has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from jobs.pipeline.command.interrupts import exit_at_interrupt, run_main

def reach(moment):
    if moment == sys.argv[1]:
        print(moment, flush=True)
        time.sleep(float(sys.argv[2]))

class Imports:
    def find_spec(self, name, path=None, target=None):
        if name == "heavy":
            reach("imports")

exit_at_interrupt()
sys.meta_path.append(Imports())
try:
    import heavy
except ImportError:
    pass

def main():
    reach("main")
    return 4

atexit.register(reach, "end")
status = run_main(main)
reach("after")
sys.exit(status)
"""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    ("moment", "seconds", "status"),
    # What waits longer than the test is interrupted; what does not goes on to its own end.
    [("imports", 600, 3), ("main", 600, 3), ("after", 1, 4), ("end", 1, 4)],
)
def test_a_command_that_is_interrupted_ends_with_3_and_one_that_is_done_with_its_own(
    moment: str, seconds: float, status: int, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, moment, str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{moment}\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
    assert process.returncode == status
    assert said == (f"interrupted: {number.name}\n" if status == 3 else "")


SLOW_IMPORT = """
import os, runpy, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == heavy:
            os.write(1, b"importing\\n")
            time.sleep(600)

_, heavy, module, *words = sys.argv
sys.argv = [module, *words]
sys.meta_path.insert(0, Slow())
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    ("heavy", "words"),
    [
        ("masc_core", ["jobs.evaluate"]),
        ("numpy", ["jobs.pack"]),
        ("duckdb", ["jobs.reduce"]),
        ("duckdb", ["jobs", "reduce"]),
    ],
)
def test_a_command_that_is_interrupted_while_it_imports_ends_with_3(
    heavy: str, words: list[str], number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_IMPORT, heavy, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (3, f"interrupted: {number.name}\n")
