"""The Slurm recipe, in a real Slurm of one node that preempts it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.commands import description_of, rows_of
from tests.launch.namespaces import NAMESPACE, free_ports, need_namespace
from tests.launch.samples import write_samples
from tests.launch.validators import LAUNCH, ROOT

HERE = Path(__file__).parent
N_SHARDS = 16


def write_configuration(folder: Path) -> None:
    controller, node = free_ports(2)
    text = (HERE / "slurm.conf").read_text()
    filled = text.format(
        folder=folder,
        host=socket.gethostname(),
        controller_port=controller,
        node_port=node,
        cpus=os.cpu_count(),
    )
    (folder / "slurm.conf").write_text(filled)


def recipe_for_one_node(folder: Path) -> Path:
    """The recipe, changed where it says that it is to be changed."""
    recipe = (LAUNCH / "slurm.sbatch").read_text()
    recipe = recipe.replace("--nodes=2", "--nodes=1").replace("#SBATCH --gpus-per-node=8\n", "")
    job = folder / "job.sbatch"
    job.write_text(recipe)
    return job


def run_in_slurm(folder: Path, checkpoint: Path, *how: str) -> tuple[str, str]:
    """What Slurm says of the job in the end, and what the job said."""
    need_namespace("slurmctld", "slurmd", "munged")
    write_configuration(folder)
    (folder / "runs.txt").write_text(
        f"run={folder}/run samples={folder}/generations-*.tar "
        f"references={folder}/references-0.tar encoder.name_or_path={checkpoint} "
        "workers.count=1 workers.batch_size=1 metric.min_fg_fraction=0\n"
    )
    parts = folder / "run" / "scores" / "*.parquet"
    words = (HERE / "preempted.sh", folder, recipe_for_one_node(folder), parts, *how)
    ended = subprocess.run(
        [*NAMESPACE, *words],
        cwd=ROOT,
        env={
            **os.environ,
            "MASC_VENV": sys.prefix,
            "MASC_RUNS": str(folder / "runs.txt"),
            "RAY_TMPDIR": str(folder),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    log = (folder / "job.log").read_text()
    assert ended.returncode == 0, ended.stderr + log
    return (folder / "job").read_text(), log


@pytest.mark.services
@pytest.mark.slow
def test_a_preempted_job_is_requeued_and_ends_with_every_sample_once(
    short_folder: Path, naflex_checkpoint: Path
) -> None:
    keys = write_samples(short_folder, N_SHARDS)
    job, log = run_in_slurm(short_folder, naflex_checkpoint)
    assert "JobState=COMPLETED" in job, job + log
    assert "ExitCode=0:0" in job
    assert "Restarts=1" in job
    assert "SIGTERM: no new shards" in log
    before = [int(n) for n in re.findall(r"(\d+) of them scored before", log)]
    assert len(before) == 2, log
    assert before[0] == 0 < before[1] < N_SHARDS
    run = short_folder / "run"
    assert description_of(run)["state"] == "done"
    assert Counter(row["key"] for row in rows_of(run)) == keys


@pytest.mark.services
@pytest.mark.slow
def test_a_cancelled_job_stays_cancelled(short_folder: Path, naflex_checkpoint: Path) -> None:
    write_samples(short_folder, N_SHARDS)
    job, log = run_in_slurm(short_folder, naflex_checkpoint, "cancel")
    assert "JobState=CANCELLED" in job, job + log
    assert "Restarts=0" in job
