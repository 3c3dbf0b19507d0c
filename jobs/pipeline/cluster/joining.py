"""Joining or starting Ray."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

import jobs
import masc_core
from jobs.pipeline.cluster.stopping import Stop
from jobs.pipeline.errors import CallError

CONNECT_SECONDS = 10.0


@contextmanager
def joined_cluster(address: str | None, stop: Stop) -> Iterator[bool]:
    """Join the cluster at `address`, or start Ray on this machine; leave it at the end.

    Yields whether it was started here: it has what this machine has, and will not grow.

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
        yield False
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    is_own = address == "local"
    options: dict[str, Any] = {}
    if not is_own and "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        # A submitted job brings its code as its working directory; otherwise we bring ours.
        modules = [Path(module.__path__[0]) for module in (jobs, masc_core)]
        options["runtime_env"] = {"py_modules": [str(module) for module in modules]}
    _require_reachable(address)
    # Ray greets with a page of text at INFO; the token notice tells how to switch tokens off.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    with redirect_stdout(sys.stderr):
        if is_own:
            options["include_dashboard"] = False
        try:
            with stop.deferred("Ray to start"):
                _join(address, options)
            yield is_own
        finally:
            with suppress(KeyboardInterrupt), stop.deferred("Ray to end"):
                ray.shutdown()


def _join(address: str, options: dict[str, Any]) -> None:
    """Join or start Ray, and turn what it raises into one line."""
    try:
        ray.init(address, logging_level=logging.WARNING, **options)
    except (OSError, ValueError, RuntimeError, RayError) as error:
        where = f"ray.address={address}: cannot join"
        if _is_about_the_token(error):
            raise CallError(
                f"{where}: the cluster asks for its token, and ours is missing or another; set "
                "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH)"
            ) from error
        raise CallError(f"{where}: {str(error).splitlines()[0]}") from error


def _is_about_the_token(error: BaseException | None) -> bool:
    """Whether Ray's own error, or one that led to it, says so; by its words, as some of them hold
    the one before as text."""
    while error is not None:
        if "AuthenticationError" in f"{type(error).__name__}: {error}":
            return True
        error = error.__cause__
    return False


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
