"""The line of the crontab, run as cron runs it, twice: the first call meets its deadline."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.commands import description_of, rows_of
from tests.driving import until
from tests.launch.samples import write_samples
from tests.launch.shell import cron_line
from tests.launch.validators import ROOT

N_SHARDS = 150
"""So many that a night is not over before it hears of its deadline."""


def crontab(folder: Path, checkpoint: Path) -> tuple[dict[str, str], list[str]]:
    """The environment that cron gives, which is small, and what it calls."""
    variables, command = cron_line()
    recipe = folder / "night.yaml"
    recipe.write_text(
        f"encoder: {{name_or_path: {checkpoint}, max_num_patches: 64}}\n"
        "workers: {count: 1, batch_size: 1}\n"
        "min_concepts: 2\n"
    )
    variables["INBOX"] = f"{folder}/inbox/{{checkpoint}}/*.tar"
    variables["NIGHTS"] = f"{folder}/nights"
    variables["REFERENCES"] = f"{folder}/references-*.tar"
    variables["MASC"] = str(folder)
    inherited = ("LANG", "OMP_NUM_THREADS")
    given = {name: os.environ[name] for name in inherited if name in os.environ}
    # A home without a token: Ray makes one.
    given |= {"HOME": str(folder)}
    given |= {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    # The environment is where these tests run in; the recipe, small.
    command = command.replace(".venv/bin/python", sys.executable)
    command = command.replace("conf/masc.yaml", str(recipe))
    return {**given, **variables}, [variables["SHELL"], "-c", command]


@pytest.mark.services
@pytest.mark.slow
def test_a_night_that_meets_its_deadline_is_gone_on_with_by_the_next_call(
    naflex_checkpoint: Path, tmp_path: Path
) -> None:
    keys = write_samples(tmp_path, N_SHARDS, "inbox/step-1")
    (tmp_path / "inbox" / "step-1" / "_SUCCESS").touch()
    environment, line = crontab(tmp_path, naflex_checkpoint)
    run, log = tmp_path / "nights" / "runs" / "step-1", tmp_path / "night.log"

    def parts() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in run.glob("scores/*.parquet")}

    with subprocess.Popen(line, env=environment) as cron:
        until(lambda: bool(parts()) or cron.poll() is not None, "a part")
        # The clock of timeout(1) rings: LONGEST is over.
        shell = psutil.Process(cron.pid)
        [deadline] = [each for each in (shell, *shell.children()) if each.name() == "timeout"]
        deadline.send_signal(signal.SIGALRM)
        assert cron.wait(timeout=120) == 124, log.read_text()
    assert "SIGTERM: no new shards" in log.read_text()
    first = parts()
    assert 0 < len(first) < N_SHARDS
    assert not (tmp_path / "nights" / "history.parquet").exists()

    again = subprocess.run(line, env=environment, timeout=300, check=False)
    assert again.returncode == 0, log.read_text()
    assert first.items() <= parts().items()
    assert description_of(run)["state"] == "done"
    assert Counter(row["key"] for row in rows_of(run)) == keys
    history = pq.read_table(tmp_path / "nights" / "history.parquet")
    assert history["checkpoint"].to_pylist() == ["step-1"]
