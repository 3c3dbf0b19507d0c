"""A namespace of processes for what would end, or be ended by, others on this machine."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from tests.programs import need_program

NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def need_namespace(*programs: str) -> None:
    """Skip, where these tests were not asked for or cannot be had."""
    if "MASC_LAUNCH_CHECK" not in os.environ:
        pytest.skip("takes minutes: make launch-check")
    for program in ("unshare", *programs):
        need_program(program)
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a namespace of processes can be made by root alone")


def free_ports(count: int) -> list[int]:
    """Of loopback, free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
