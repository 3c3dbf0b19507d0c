"""The scripts of launch/, with stand-ins for what they call; nothing here is real but bash."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.launch.shell import put, run
from tests.launch.validators import LAUNCH

pytestmark = pytest.mark.slow

# ------------------------------------------------------------------ until-done.sh


def times_called(folder: Path, statuses: str, **variables: str) -> tuple[int, int]:
    """How often a command was called that ends with these statuses in turn, and the last of all."""
    put(
        folder / "bin",
        "command",
        f'echo call >>"$LOG"; set -- {statuses}; n=$(wc -l <"$LOG"); exit "${{!n}}"',
    )
    ended = run(
        [LAUNCH / "until-done.sh", folder / "bin" / "command"], folder, PAUSE="0", **variables
    )
    return (folder / "log").read_text().count("call"), ended.returncode


@pytest.mark.parametrize("status", [0, 1, 2, 4, 5])
def test_an_answer_is_not_asked_for_again(status: int, tmp_path: Path) -> None:
    assert times_called(tmp_path, f"{status} 0") == (1, status)


@pytest.mark.parametrize("status", [3, 137, 143, 247])
def test_what_was_not_done_and_what_was_killed_is_called_again(status: int, tmp_path: Path) -> None:
    assert times_called(tmp_path, f"{status} {status} 4") == (3, 4)


def test_no_command_is_a_wrong_call(tmp_path: Path) -> None:
    ended = run([LAUNCH / "until-done.sh"], tmp_path)
    assert ended.returncode == 1
    assert "launch/until-done.sh COMMAND..." in ended.stderr


def test_it_is_called_so_often_and_no_more(tmp_path: Path) -> None:
    assert times_called(tmp_path, "3 3 3 3", TRIES="3") == (3, 3)


def test_what_is_asked_to_stop_is_not_called_again(tmp_path: Path) -> None:
    put(tmp_path / "bin", "command", 'echo call >>"$LOG"; kill -TERM $PPID; exit 3')
    ended = run([LAUNCH / "until-done.sh", tmp_path / "bin" / "command"], tmp_path, PAUSE="0")
    assert (ended.returncode, (tmp_path / "log").read_text()) == (3, "call\n")


# ------------------------------------------------------------------ on-nodes.sh

# As symmetric-run: all after -- is run on the first node. Where Ray does not start nothing is run,
# and the status is 0; it is 1 where nodes do not come, and at times where all went well.
SYMMETRIC_RUN = """
echo "ray $*" >>"$LOG"
if [[ $RAY == broken ]]; then exit 0; fi
if [[ $RAY == alone ]]; then exit 1; fi
if [[ $HEAD != 127.0.0.1 ]]; then exit 0; fi
while [[ $1 != -- ]]; do shift; done
shift
"$@"
if [[ $RAY == moody ]]; then exit 1; fi
"""
MASC_EVAL = """
echo "masc-eval $*" >>"$LOG"
if [[ $1 == status ]]; then echo "{\\"url\\": \\"$2\\", \\"state\\": \\"$STATE\\"}"; exit 0; fi
eval "${COMMAND:-true}"
"""


def on_nodes(
    folder: Path,
    state: str = "done",
    ray: str = "works",
    command: str = "exit 0",
    head: str = "127.0.0.1",
) -> int:
    put(folder / "bin", "ray", SYMMETRIC_RUN)
    put(folder / "bin", "masc-eval", MASC_EVAL)
    words = [LAUNCH / "on-nodes.sh", "here/run", "masc-eval", "evaluate", "run=here/run"]
    variables = {"HEAD": head, "NODES": "2", "RAY_AUTH_TOKEN": "x"}
    variables |= {"STATE": state, "RAY": ray, "COMMAND": command}
    return run([*words], folder, **variables).returncode


@pytest.mark.parametrize("status", [0, 1, 2, 3])
def test_the_first_node_says_what_the_command_said(status: int, tmp_path: Path) -> None:
    assert on_nodes(tmp_path, command=f"exit {status}") == status
    log = (tmp_path / "log").read_text()
    assert "ray symmetric-run --address 127.0.0.1:6379 --min-nodes 2 -- " in log
    assert "masc-eval evaluate run=here/run" in log


def test_without_done_a_0_is_not_believed(tmp_path: Path) -> None:
    assert on_nodes(tmp_path, state="incomplete") == 3


def test_what_symmetric_run_itself_ends_with_is_of_no_account(tmp_path: Path) -> None:
    assert on_nodes(tmp_path, ray="moody") == 0


@pytest.mark.parametrize("ray", ["broken", "alone"])
def test_where_ray_does_not_start_it_is_to_be_called_again(ray: str, tmp_path: Path) -> None:
    """Also where an earlier call has left a run that was done with what there was then."""
    assert on_nodes(tmp_path, ray=ray) == 3


def test_a_command_that_was_killed_is_to_be_called_again(tmp_path: Path) -> None:
    assert on_nodes(tmp_path, command="kill -KILL $$") == 3


def test_without_ray_or_a_command_it_is_a_wrong_call(tmp_path: Path) -> None:
    variables = {"HEAD": "127.0.0.1", "NODES": "1", "RAY_AUTH_TOKEN": "x"}
    script = LAUNCH / "on-nodes.sh"
    assert run([script, "here/run"], tmp_path, **variables).returncode == 1
    bare = run(
        ["/bin/bash", script, "here/run", "true"], tmp_path, PATH="/usr/bin:/bin", **variables
    )
    assert bare.returncode == 1
    assert "where ray and masc-eval are on the PATH" in bare.stderr


@pytest.mark.parametrize(("state", "status"), [("done", 0), ("incomplete", 3), ("died", 3)])
def test_another_node_ends_by_what_the_run_says(state: str, status: int, tmp_path: Path) -> None:
    assert on_nodes(tmp_path, state=state, head="192.0.2.77") == status
    called = [line.split()[:2] for line in (tmp_path / "log").read_text().splitlines()]
    assert called == [["ray", "symmetric-run"], ["masc-eval", "status"]]


def stopped(folder: Path, ray: str, command: str) -> tuple[int, str]:
    """The exit status after a SIGTERM that comes once "begun" is written, and what was written."""
    put(folder / "bin", "ray", ray)
    put(folder / "bin", "masc-eval", MASC_EVAL)
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    environment |= {"LOG": str(folder / "log"), "TMPDIR": str(folder), "COMMAND": command}
    environment |= {"HEAD": "127.0.0.1", "NODES": "1", "RAY_AUTH_TOKEN": "x", "RAY": "works"}
    environment |= {"STATE": "incomplete"}
    words = [LAUNCH / "on-nodes.sh", "here/run", "masc-eval", "evaluate"]
    log = folder / "log"
    with subprocess.Popen(words, env=environment) as process:
        while not log.exists() or "begun" not in log.read_text():
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        return process.wait(timeout=30), log.read_text()


WAITS = 'echo begun >>"$LOG"; while :; do sleep 0.05; done'


def test_a_preemption_notice_is_heard_by_the_command_alone_and_once(tmp_path: Path) -> None:
    hears = f"trap 'echo heard >>\"$LOG\"; exit 3' TERM; {WAITS}"
    status, log = stopped(tmp_path, SYMMETRIC_RUN, hears)
    assert (status, log.count("heard")) == (3, 1)


def test_a_preemption_notice_while_ray_starts_ends_that(tmp_path: Path) -> None:
    status, log = stopped(tmp_path, WAITS, "exit 0")
    assert (status, log) == (3, "begun\n")


# ------------------------------------------------------------------ slurm.sbatch


def slurm(folder: Path, runs: str = "samples=a run=here/run", **variables: str) -> tuple[int, str]:
    """The exit status of the batch script, and what it called."""
    put(folder / "bin", "ray", SYMMETRIC_RUN)
    put(folder / "bin", "masc-eval", MASC_EVAL)
    put(folder / "bin", "srun", 'shift; exec "$@"')
    put(folder / "bin", "squeue", 'echo "$JOB"')
    put(folder / "bin", "scontrol", 'echo "scontrol $*" >>"$LOG"')
    put(folder / "bin", "python", "echo token")
    (folder / "runs.txt").write_text(runs)
    known = {
        "SLURM_NNODES": "1",
        "SLURM_JOB_ID": "7",
        "JOB": "RUNNING",
        "MASC_RUNS": str(folder / "runs.txt"),
    }
    known |= {"MASC_VENV": str(folder), "STATE": "done", "RAY": "works", "COMMAND": "exit 0"}
    ended = run(["bash", LAUNCH / "slurm.sbatch"], folder, **{**known, **variables})
    log = folder / "log"
    return ended.returncode, log.read_text() if log.exists() else ended.stderr


REQUEUED = "scontrol requeue 7"


@pytest.mark.parametrize("status", [0, 1, 2])
def test_slurm_does_not_requeue_an_answer(status: int, tmp_path: Path) -> None:
    ended, log = slurm(tmp_path, COMMAND=f"exit {status}")
    assert ended == status
    assert REQUEUED not in log
    assert "masc-eval evaluate conf/masc.yaml samples=a run=here/run" in log


@pytest.mark.parametrize(
    "variables",
    [{"COMMAND": "exit 3"}, {"COMMAND": "kill -KILL $$"}, {"RAY": "broken"}, {"STATE": "died"}],
    ids=["not done", "killed", "no Ray", "says done and is not"],
)
def test_slurm_requeues_what_was_not_done(variables: dict[str, str], tmp_path: Path) -> None:
    ended, log = slurm(tmp_path, **variables)
    assert ended == 3
    assert REQUEUED in log


def test_slurm_does_not_requeue_what_was_cancelled(tmp_path: Path) -> None:
    ended, log = slurm(tmp_path, COMMAND="exit 3", JOB="COMPLETING")
    assert ended == 3
    assert REQUEUED not in log


def test_slurm_does_not_requeue_where_the_environment_is_not_there(tmp_path: Path) -> None:
    ended, said = slurm(tmp_path, PATH="/usr/bin:/bin", MASC_VENV=str(tmp_path / "nowhere"))
    assert ended == 1
    assert "no ray: submit from a checkout" in said


def test_slurm_gives_up_in_the_end(tmp_path: Path) -> None:
    ended, log = slurm(tmp_path, COMMAND="exit 3", SLURM_RESTART_COUNT="10")
    assert ended == 3
    assert REQUEUED not in log


def test_a_task_of_an_array_does_its_own_line(tmp_path: Path) -> None:
    runs = "run=one samples=a\nrun=two samples=b\n"
    ended, log = slurm(tmp_path, runs=runs, SLURM_ARRAY_TASK_ID="2")
    assert ended == 0
    assert "masc-eval evaluate conf/masc.yaml run=two samples=b" in log
    assert "run=one" not in log


def test_a_line_that_names_no_run_is_a_wrong_call(tmp_path: Path) -> None:
    ended, said = slurm(tmp_path, SLURM_ARRAY_TASK_ID="3")
    assert ended == 1
    assert said == f"line 3 of {tmp_path}/runs.txt names no run=\n"


# ------------------------------------------------------------------ ray-cluster.sh


def test_a_cluster_is_started_on_loopback_with_a_token_and_jobs_are_submitted(
    tmp_path: Path,
) -> None:
    put(tmp_path / "bin", "ray", 'echo "$RAY_AUTH_MODE $RAY_JOB_STOP_WAIT_TIME_S ray $*" >>"$LOG"')
    for words in (["head"], ["join", "first"], ["submit", "run=/scratch/a b"], ["leave"]):
        ended = run([LAUNCH / "ray-cluster.sh", *words], tmp_path, MASC_VENV=str(tmp_path))
        assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "log").read_text().splitlines() == [
        "token 60 ray start --head --port=6379 --dashboard-host=127.0.0.1 --dashboard-port=8265",
        "token 60 ray start --address=first:6379",
        "token 60 ray job submit --address=http://127.0.0.1:8265 --working-dir=. -- "
        "launch/until-done.sh python -m jobs.evaluate conf/masc.yaml run=/scratch/a b",
        "token 60 ray stop --grace-period=60",
    ]


def test_a_word_that_it_does_not_know_shows_what_there_is(tmp_path: Path) -> None:
    ended = run([LAUNCH / "ray-cluster.sh", "haed"], tmp_path)
    assert ended.returncode == 1
    assert "launch/ray-cluster.sh submit" in ended.stderr
