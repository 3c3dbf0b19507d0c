"""Joining or starting Ray, and how many workers of what size fit on it."""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

import jobs
import masc_core
from jobs.pipeline.command_line import CallError
from jobs.pipeline.config import WorkersConfig, number_or_auto

MAX_AUTO_CPUS = 16
"""Cores that a GPU worker takes at most by itself: decoding for one GPU does not ask for more."""

CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Layout:
    """How many workers there are, and what each holds."""

    count: int
    gpus: float
    cpus: int
    batch_size: int | None
    """Images a forward pass; None lets each worker choose for its device."""


@contextmanager
def joined_cluster(address: str | None) -> Iterator[None]:
    """Join the cluster at `address`, or start Ray on this machine; leave it at the end.

    Meanwhile stdout goes to stderr: Ray prints there what workers and nodes say.

    With no address, `RAY_ADDRESS` decides (as in a job submitted to a cluster); without that, a Ray
    of our own is started, which ends with this process.

    Raises:
        CallError: there is no cluster at the address.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {}
    if address != "local" and "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        # A submitted job brings its code as its working directory; otherwise we bring ours.
        modules = [Path(module.__path__[0]) for module in (jobs, masc_core)]
        options["runtime_env"] = {"py_modules": [str(module) for module in modules]}
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


def lay_out(config: WorkersConfig, n_shards: int) -> Layout:
    """Workers for the cluster that was joined, no more of them than shards.

    Raises:
        CallError: a setting out of range.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return fit(config, nodes, n_shards)


def fit(config: WorkersConfig, nodes: list[dict[str, float]], n_shards: int) -> Layout:
    """`lay_out` for nodes with these resources ({"CPU": 8, "GPU": 1}, ...)."""
    gpus = number_or_auto(config.gpus, "workers.gpus", least=0)
    if gpus is None:
        gpus = 1.0 if any(node.get("GPU", 0) >= 1 for node in nodes) else 0.0
    if gpus > 0:
        room = [math.floor(node.get("GPU", 0) / gpus) for node in nodes]
    else:
        room = [1 if node.get("CPU", 0) >= 1 else 0 for node in nodes]
    count = number_or_auto(config.count, "workers.count", least=1)
    if count is None:
        # A worker without a shard would only load its encoder.
        count = max(1, min(sum(room), n_shards))
    cpus = number_or_auto(config.cpus, "workers.cpus", least=1)
    if cpus is None:
        cpus = _cpu_share(nodes, room, int(count), at_most=MAX_AUTO_CPUS if gpus else None)
    batch_size = number_or_auto(config.batch_size, "workers.batch_size", least=1)
    return Layout(int(count), gpus, int(cpus), None if batch_size is None else int(batch_size))


def _cpu_share(
    nodes: list[dict[str, float]], room: list[int], count: int, at_most: int | None
) -> int:
    """Cores for each of `count` workers, if they spread over the nodes that have room."""
    usable = [(node.get("CPU", 0), n) for node, n in zip(nodes, room, strict=True) if n]
    if not usable:
        return 1
    per_node = math.ceil(count / len(usable))
    share = min(int(cpus // max(1, min(n, count) if n > 1 else per_node)) for cpus, n in usable)
    return max(1, share if at_most is None else min(share, at_most))
