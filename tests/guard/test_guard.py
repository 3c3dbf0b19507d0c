"""The guard sees what it is there for, in the test's own process and in those that it starts."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guard.sitecustomize import REFUSALS

LISTEN = "import socket; socket.create_server(('127.0.0.1', 0))"


@pytest.fixture
def refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where they are noted, so that they do not fail these tests."""
    path = tmp_path / "refusals"
    monkeypatch.setenv(REFUSALS, str(path))
    return path


def test_a_server_in_the_tests_own_process_is_refused(refusals: Path) -> None:
    with pytest.raises(RuntimeError, match=r"not marked `services` listens at \('127.0.0.1', 0\)"):
        socket.create_server(("127.0.0.1", 0))
    assert refusals.read_text() == "listens at ('127.0.0.1', 0)\n"


@pytest.mark.parametrize("program", ["chromium", "/usr/sbin/slurmctld"])
def test_a_program_that_serves_is_refused(program: str, refusals: Path) -> None:
    with pytest.raises(RuntimeError, match="not marked `services` starts "):
        subprocess.run([program], check=True)
    assert refusals.exists()


@pytest.mark.parametrize(
    ("code", "noted"),
    [
        (LISTEN, r"listens at \('127.0.0.1', 0\)\n"),
        (
            f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LISTEN!r}])",
            r"listens at \('127.0.0.1', 0\)\n",
        ),
        # An older Ray, as 2.53, looks for ports first.
        ("import ray; ray.init('local')", r"starts gcs_server\n|listens at \('', 0\)\n"),
    ],
)
def test_what_a_process_of_the_test_starts_is_refused(
    code: str, noted: str, refusals: Path
) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "a test that is not marked `services` " in done.stderr
    assert re.fullmatch(noted, refusals.read_text())


def test_processes_that_serve_nobody_are_let_be(refusals: Path) -> None:
    code = "import socket, urllib3; a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "b'x'\n"
    assert not refusals.exists()


@pytest.mark.services
def test_a_test_that_says_so_may_listen() -> None:
    assert REFUSALS not in os.environ
    subprocess.run([sys.executable, "-c", LISTEN], check=True)
