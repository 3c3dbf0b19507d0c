"""Ctrl-C at any moment of a command that starts a Ray of its own."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.jobs.test_evaluate import write_good_shards

N_INTERRUPTS = int(os.environ.get("MASC_INTERRUPTS", "2"))
"""`make soak` presses it more often."""
EARLIEST, LATEST = 0.05, 6.0
BEGUN = "begun"

# As `python -m jobs.evaluate`, but it says when Python itself is up: what comes before that is
# answered by Python, whatever we do.
PROGRAM = (
    f"import os, runpy; os.write(1, b'{BEGUN}');"
    "runpy.run_module('jobs.evaluate', run_name='__main__', alter_sys=True)"
)


def delays() -> list[float]:
    """One out of each of as many equal spans of the time in which Ray starts."""
    rng = random.Random(21)
    span = (LATEST - EARLIEST) / N_INTERRUPTS
    return [EARLIEST + span * (i + rng.random()) for i in range(N_INTERRUPTS)]


@pytest.mark.services
@pytest.mark.parametrize("delay", delays(), ids=lambda delay: f"{delay:.2f} s")
def test_ctrl_c_is_exit_3_whenever_it_is_pressed(
    delay: float, naflex_checkpoint: Path, tmp_path: Path
) -> None:
    write_good_shards(tmp_path, n_shards=1)
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    with subprocess.Popen(
        [
            *(sys.executable, "-c", PROGRAM),
            f"samples={tmp_path}/generations-*.tar",
            f"references={tmp_path}/references-*.tar",
            f"run={tmp_path}/run",
            f"encoder.name_or_path={naflex_checkpoint}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(len(BEGUN)) == BEGUN
        time.sleep(delay)
        # A terminal sends it to all that the command has started, too.
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=300)
    assert process.returncode in (0, 3), said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    if process.returncode == 3:
        assert "SIGINT" in said
