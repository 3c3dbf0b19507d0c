"""Joining a cluster, or starting Ray here, and what is said where neither can be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from jobs.pipeline.cluster.joining import joined_cluster
from jobs.pipeline.cluster.stopping import Stop
from jobs.pipeline.errors import CallError


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_cluster_is_joined_by_address_and_left_at_the_end(
    cluster_address: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "environment":
        monkeypatch.setenv("RAY_ADDRESS", cluster_address)
    with joined_cluster(cluster_address if by == "argument" else None, Stop(0.0)) as is_own:
        assert not is_own
        assert ray.get_runtime_context().gcs_address == cluster_address
        with joined_cluster(None, Stop(0.0)) as is_own:  # the one that is there
            assert not is_own
        assert ray.is_initialized()
    assert not ray.is_initialized()


@pytest.mark.services
def test_where_sockets_cannot_lie_ray_has_a_shorter_folder_and_it_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("as-slurm-names-them-" * 5)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with joined_cluster(None, Stop(0.0)) as is_own:
        assert is_own
        with joined_cluster(None, Stop(0.0)) as is_own:  # the one that is there, and will not grow
            assert is_own
        sessions = Path(ray._private.worker._global_node.get_session_dir_path()).parent
        assert sessions.is_dir()
    assert sessions.parent == Path("/tmp")
    assert not sessions.exists()
    assert list(long.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1:1", "cannot join: .*refused"),
        ("ray://127.0.0.1:10001", "expected auto or HOST:PORT"),
        ("head", "expected auto or HOST:PORT"),
    ],
)
def test_an_address_where_nobody_answers_is_named(address: str, reason: str) -> None:
    with (
        pytest.raises(CallError, match=rf"^ray\.address={address}: {reason}"),
        joined_cluster(address, Stop(0.0)),
    ):
        pass


@pytest.mark.parametrize("token", ["another", "none"])
def test_a_wrong_token_is_called_a_token(cluster_address: str, token: str, tmp_path: Path) -> None:
    environment = {**os.environ, "RAY_AUTH_TOKEN": "0" * 64, "HOME": str(tmp_path)}
    if token == "none":
        del environment["RAY_AUTH_TOKEN"]
    program = (
        "from jobs.pipeline.cluster.joining import joined_cluster\n"
        "from jobs.pipeline.cluster.stopping import Stop\n"
        f"joined_cluster({cluster_address!r}, Stop(0.0)).__enter__()\n"
    )
    run = subprocess.run(  # as Ray keeps a token for as long as its process lives
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    last = run.stderr.strip().splitlines()[-1]
    assert f"CallError: ray.address={cluster_address}: cannot join: " in last
    assert "the cluster asks for its token, and ours is missing or another" in last
