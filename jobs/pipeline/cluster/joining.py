"""Joining or starting Ray."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any

import ray
from ray.exceptions import RayError

from jobs.pipeline.cluster.stopping import Stop
from jobs.pipeline.errors import CallError
from jobs.pipeline.storage.retry import reason_of

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0

CODE = ("jobs", "masc_core")
"""Packages that a worker needs beside those that are installed on its node."""

SOCKET = "session_2000-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""The longest path of a socket within Ray's folder of sessions; it ends in the process's id."""

_is_started_here: ContextVar[bool] = ContextVar("is_started_here", default=False)
"""Whether the Ray that was joined is our own."""

LONGEST_SOCKET_PATH = 103
"""Bytes that macOS allows; Linux four more."""


@contextmanager
def joined_cluster(address: str | None, stop: Stop) -> Iterator[bool]:
    """Join the cluster at `address`, or start Ray on this machine; leave it at the end.

    Yields whether it was started by this process: it has what this machine has, and will not grow.

    Meanwhile stdout goes to stderr: Ray prints there what workers and nodes say.

    With no address, `RAY_ADDRESS` decides (as in a job submitted to a cluster); without that, a Ray
    of our own is started, which ends with the context. Where Ray was joined before, as by a caller
    that does several jobs, it is used, and stays.

    Args:
        stop: hears the signals; one that comes while Ray starts interrupts once it is up.

    Raises:
        CallError: there is no cluster at the address, or it cannot be joined.
    """
    if ray.is_initialized():
        yield _is_started_here.get()
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    is_own = address == "local"
    options: dict[str, Any] = {}
    if not is_own and "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        # A submitted job brings its code as its working directory; otherwise we bring ours.
        options["runtime_env"] = {"py_modules": [_folder_of(name) for name in CODE]}
    _require_reachable(address)
    # Ray greets with a page of text at INFO; the token notice tells how to switch tokens off.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    with redirect_stdout(sys.stderr), ExitStack() as at_end:
        if is_own:
            options["include_dashboard"] = False
            options["_temp_dir"] = at_end.enter_context(_session_folder())
        try:
            with stop.deferred("Ray to start"):
                _join(address, options)
            token = _is_started_here.set(is_own)
            try:
                yield is_own
            finally:
                _is_started_here.reset(token)
        finally:
            with suppress(KeyboardInterrupt), stop.deferred("Ray to end"):
                ray.shutdown()


def _join(address: str, options: dict[str, Any]) -> None:
    """Join or start Ray, and turn what it raises into one line."""
    try:
        ray.init(address, logging_level=logging.WARNING, **options)
    except (OSError, ValueError, RuntimeError, RayError) as error:
        is_own = address == "local"
        where = "Ray cannot be started here" if is_own else f"ray.address={address}: cannot join"
        if _is_about_the_token(error):
            raise CallError(
                f"{where}: the cluster asks for its token, and ours is missing or another; set "
                "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH)"
            ) from error
        raise CallError(f"{where}: {reason_of(error)}") from error


def _is_about_the_token(error: BaseException | None) -> bool:
    """Whether Ray's own error, or one that led to it, says so; by its words, as some of them hold
    the one before as text."""
    while error is not None:
        if "AuthenticationError" in f"{type(error).__name__}: {error}":
            return True
        error = error.__cause__
    return False


@contextmanager
def _session_folder() -> Iterator[str | None]:
    """Where a Ray of our own keeps its sessions; None for its usual place.

    Raises:
        CallError: that is too long a path for sockets, and there is no shorter one.
    """
    # As Ray has it: TMPDIR counts on Linux alone.
    own = "RAY_TMPDIR" in os.environ or not sys.platform.startswith("linux")
    setting = "RAY_TMPDIR" if own else "TMPDIR"
    usual = os.environ.get(setting, "/tmp")
    if len(f"{usual}/ray/{SOCKET}".encode()) <= LONGEST_SOCKET_PATH:
        yield None
        return
    try:
        folder = tempfile.mkdtemp(prefix="masc-", dir="/tmp")
    except OSError as error:
        raise CallError(
            f"{setting}={usual}: too long a path for Ray's sockets, and there can be none in /tmp: "
            f"{error}; set RAY_TMPDIR to a shorter one"
        ) from error
    log.info("%s is too long a path for Ray's sockets: its sessions go to %s", setting, folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
