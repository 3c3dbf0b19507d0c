"""Recipes that start Ray on several nodes, on two that are namespaces of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.commands import description_of, rows_of
from tests.launch.namespaces import need_namespace
from tests.launch.samples import write_samples
from tests.launch.validators import LAUNCH, ROOT, read

N_SHARDS = 8


def slurm_and_batch(folder: Path, words: str) -> str:
    """As Slurm, AWS Batch and Google Batch call it on each node."""
    return f"HEAD=$FIRST NODES=2 exec {LAUNCH}/on-nodes.sh {folder}/run {words}"


def skypilot(folder: Path, words: str) -> str:
    """With the variables that SkyPilot sets, and the environment that its setup makes."""
    (folder / "masc").symlink_to(sys.prefix)
    run = read(LAUNCH / "skypilot.yaml")["run"]
    [call] = [line for line in run.splitlines() if line.strip().startswith("masc-eval evaluate")]
    run = run.replace(call, f"{words} \\")
    run = run.replace('"samples=$SAMPLES" "references=$REFERENCES" "run=$RUN" ', "")
    variables = (
        f"export HOME={folder} SKYPILOT_NODE_RANK=$NODE SKYPILOT_NODE_IPS=$'10.99.7.1\\n10.99.7.2'"
    )
    run = run.replace("RAY_TMPDIR=/tmp/masc", f"RAY_TMPDIR={folder}/$NODE")
    return f"{variables}\nexport HOME={folder}\n{run}"


@pytest.mark.services
@pytest.mark.slow
@pytest.mark.parametrize("recipe", [slurm_and_batch, skypilot])
def test_two_nodes_do_a_run_and_both_end_well(
    recipe: object, short_folder: Path, naflex_checkpoint: Path
) -> None:
    need_namespace("ip")
    assert callable(recipe)
    keys = write_samples(short_folder, N_SHARDS)
    words = (
        f"masc-eval evaluate run={short_folder}/run samples={short_folder}/generations-*.tar "
        f"references={short_folder}/references-0.tar encoder.name_or_path={naflex_checkpoint} "
        "workers.count=2 workers.batch_size=1"
    )
    nodes = [Path(__file__).parent / "two_nodes.sh", short_folder, "bash", "-c"]
    environment = {**os.environ, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(ROOT)
    ended = subprocess.run(
        [*nodes, recipe(short_folder, words)], cwd=ROOT, env=environment, timeout=500, check=False
    )
    if ended.returncode == 77:
        pytest.skip("namespaces of networks can be made by root alone")
    logs = [(short_folder / f"log-{node}").read_text() for node in (0, 1)]
    statuses = [(short_folder / f"status-{node}").read_text().strip() for node in (0, 1)]
    assert statuses == ["0", "0"], "\n".join(logs)
    described = description_of(short_folder / "run")
    assert described["state"] == "done"
    assert Counter(row["key"] for row in rows_of(short_folder / "run")) == keys
    if recipe is slurm_and_batch:  # SkyPilot's begins as soon as the first node is there
        assert len({worker["node"] for worker in described["workers"]}) == 2
