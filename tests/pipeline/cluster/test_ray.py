"""Ray as its users use it: a cluster of GPU nodes, and jobs submitted to a cluster."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster
from ray.job_submission import JobSubmissionClient

from tests.commands import command, description_of, rows_of
from tests.jobs.test_evaluate import write_good_shards

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[3]


@pytest.fixture
def gpu_cluster() -> Iterator[Cluster]:
    """Two nodes with a logical GPU each."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "num_gpus": 1, "include_dashboard": False},
    )
    cluster.add_node(num_cpus=1, num_gpus=1)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


def test_every_worker_has_a_gpu_of_its_own_and_all_of_them_work(
    gpu_cluster: Cluster, naflex_checkpoint: Path, tmp_path: Path
) -> None:
    write_good_shards(tmp_path, n_shards=40, n_samples=4)
    for _ in range(3):
        run = command(
            "evaluate",
            f"samples={tmp_path}/generations-*.tar",
            f"references={tmp_path}/references-*.tar",
            f"run={tmp_path}/run",
            f"encoder.name_or_path={naflex_checkpoint}",
            "encoder.max_num_patches=256",
            "workers.batch_size=1",
            f"ray.address={gpu_cluster.address}",
            "overwrite=true",
        )
        assert run.returncode == 0, run.stderr
        assert len(rows_of(tmp_path / "run")) == 160
        workers = description_of(tmp_path / "run")["workers"]
        # On a busy machine one worker may be done before the other has loaded its encoder.
        if len(workers) == 2 and all(worker["shards"] for worker in workers):
            break
    assert [len(worker["gpus"]) for worker in workers] == [1, 1]
    assert len({worker["node"] for worker in workers}) == 2
    assert all(worker["shards"] > 0 for worker in workers)
    assert sum(worker["samples"] for worker in workers) == 160


@pytest.fixture
def cluster_with_jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster that takes jobs; `python` on it is this one."""
    monkeypatch.setenv(
        "PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    # Jobs are started by the node's agent, whose port is fixed: another cluster may have it.
    ports = {"dashboard_agent_listen_port": _free_port(), "dashboard_port": _free_port()}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": True, **ports}
    )
    _wait_until_it_takes_jobs(JobSubmissionClient(f"http://{cluster.webui_url}"))
    yield cluster
    cluster.shutdown()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _wait_until_it_takes_jobs(client: JobSubmissionClient) -> None:
    """The dashboard answers before the agent that starts jobs does."""
    for _ in range(600):
        try:
            client.submit_job(entrypoint="true")
        except RuntimeError:
            time.sleep(0.5)
        else:
            return
    raise AssertionError("the cluster takes no jobs")


def test_the_same_command_line_works_as_a_submitted_job(
    cluster_with_jobs: Cluster, naflex_checkpoint: Path, tmp_path: Path
) -> None:
    write_good_shards(tmp_path, n_shards=2)
    submitted = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("ray")), "job", "submit"),
            *("--address", f"http://{cluster_with_jobs.webui_url}", "--working-dir", "."),
            *("--", "python", "-m", "jobs.evaluate"),
            f"samples={tmp_path}/generations-*.tar",
            f"references={tmp_path}/references-*.tar",
            f"run={tmp_path}/run",
            f"encoder.name_or_path={naflex_checkpoint}",
            "encoder.max_num_patches=64",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    assert "12 samples: 12 ok, 0 skipped, 0 errors" in submitted.stdout
    assert len(rows_of(tmp_path / "run")) == 12
