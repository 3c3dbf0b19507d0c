"""What the tests of the commands share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.dataset as pads
import pytest
from ray.cluster_utils import Cluster

Run = subprocess.CompletedProcess[str]


def command(name: str, *words: str, **environment: str) -> Run:
    """Call `python -m jobs.NAME` as a user does."""
    return subprocess.run(
        [sys.executable, "-m", f"jobs.{name}", *words],
        capture_output=True,
        text=True,
        timeout=800,
        env={**os.environ, **environment},
        check=False,
    )


def rows_of(run: Path) -> list[dict]:
    """The rows of all parts of a run."""
    return pads.dataset(run / "scores").to_table().to_pylist()


@pytest.fixture(scope="session")
def cluster_address() -> Iterator[str]:
    """A Ray cluster of one node with two cores, which the tests share."""
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
    )
    yield cluster.address
    cluster.shutdown()


@pytest.fixture
def evaluate(cluster_address: str, naflex_checkpoint: Path, tmp_path: Path) -> Callable[..., Run]:
    """`jobs.evaluate` with the small encoder, on `tmp_path`'s shards, into `tmp_path/run`."""

    def call(*words: str) -> Run:
        return command(
            "evaluate",
            f"samples={tmp_path}/generations-*.tar",
            f"references={tmp_path}/references-*.tar",
            f"run={tmp_path}/run",
            f"encoder.name_or_path={naflex_checkpoint}",
            "encoder.max_num_patches=64",
            f"ray.address={cluster_address}",
            *words,
        )

    return call


def description_of(run: Path) -> dict:
    """What `run.json` says."""
    return json.loads((run / "run.json").read_text())
