"""Joining or starting Ray."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from typing import Any

import ray

from jobs.pipeline.errors import CallError

CONNECT_SECONDS = 10.0

CODE = ("jobs", "masc_core")
"""Packages that a worker needs beside those that are installed on its node."""


@contextmanager
def joined_cluster(address: str | None) -> Iterator[None]:
    """Join the cluster at `address`, or start Ray on this machine; leave it at the end.

    Meanwhile stdout goes to stderr: Ray prints there what workers and nodes say.

    With no address, `RAY_ADDRESS` decides (as in a job submitted to a cluster); without that, a Ray
    of our own is started, which ends with the context. Where Ray was joined before, as by a caller
    that does several jobs, it is used, and stays.

    Raises:
        CallError: there is no cluster at the address.
    """
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {}
    if address != "local" and "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        # A submitted job brings its code as its working directory; otherwise we bring ours.
        options["runtime_env"] = {"py_modules": [_folder_of(name) for name in CODE]}
    if address == "local":
        options["include_dashboard"] = False
    _require_reachable(address)
    # Ray greets with a page of text at INFO; the token notice tells how to switch tokens off.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    with redirect_stdout(sys.stderr):
        try:
            ray.init(address, logging_level=logging.WARNING, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise CallError(f"ray.address={address}: cannot join: {reason}") from error
        try:
            yield
        finally:
            ray.shutdown()


def _folder_of(package: str) -> str:
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return next(iter(spec.submodule_search_locations))


def _require_reachable(address: str) -> None:
    """Ray itself would try an address for minutes before it gives up.

    Raises:
        CallError: nobody answers at HOST:PORT, or it is an address of another kind.
    """
    if address in ("local", "auto"):
        return
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or "/" in host:
        raise CallError(f"ray.address={address}: expected auto or HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise CallError(f"ray.address={address}: cannot join: {error}") from error
