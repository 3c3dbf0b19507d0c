"""How many workers of what size there are room for on a cluster."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import ray

from jobs.pipeline.cluster.config import WorkersConfig, number_or_auto
from jobs.pipeline.errors import CallError

log = logging.getLogger(__name__)

MAX_AUTO_CPUS = 16
"""Cores that a GPU worker takes at most by itself: decoding for one GPU does not ask for more."""


@dataclass(frozen=True)
class Layout:
    """How many workers there are, and what each holds."""

    count: int
    gpus: float
    cpus: int
    batch_size: int | None
    """Images a forward pass; None lets each worker choose for its device."""


def layout_of_cluster(config: WorkersConfig, n_shards: int) -> Layout:
    """Workers for the cluster that was joined, no more of them than shards.

    Raises:
        CallError: a setting out of range.
    """
    return layout_for(config, _nodes(), n_shards)


def require_possible(layout: Layout, may_grow: bool) -> None:
    """See that some node of the cluster could hold a worker, were it free.

    Raises:
        CallError: none could, and none will be added.
    """
    problem = why_impossible(layout, _nodes())
    if problem and not may_grow:
        raise CallError(f"{problem}; ask for less, or join a larger cluster by ray.address")
    if problem:
        log.warning("%s; waiting for one that has", problem)


def why_impossible(layout: Layout, nodes: list[dict[str, float]]) -> str | None:
    """What a worker is asked to have that none of these nodes has; None where one has it all."""
    asked = {"GPU": layout.gpus, "CPU": float(layout.cpus)}
    if any(all(node.get(name, 0) >= n for name, n in asked.items()) for node in nodes):
        return None
    lacking = [name for name, n in asked.items() if all(node.get(name, 0) < n for node in nodes)]
    # Some node may have the one, and another the other.
    settings = ", ".join(f"workers.{n.lower()}s={asked[n]:g}" for n in lacking or asked)
    there = sorted({f"{node.get('GPU', 0):g} GPU, {node.get('CPU', 0):g} CPU" for node in nodes})
    return f"{settings}: no node has as much for a worker; there is {' and '.join(there)}"


def alive_nodes() -> list[dict[str, Any]]:
    """What Ray says of each node of the cluster that was joined."""
    return [node for node in ray.nodes() if node["Alive"]]


def _nodes() -> list[dict[str, float]]:
    return [node["Resources"] for node in alive_nodes()]


def layout_for(config: WorkersConfig, nodes: list[dict[str, float]], n_shards: int) -> Layout:
    """`layout_of_cluster` for nodes with these resources ({"CPU": 8, "GPU": 1}, ...)."""
    gpus = number_or_auto(config.gpus, "workers.gpus", least=0)
    if gpus is None:
        gpus = 1.0 if any(node.get("GPU", 0) >= 1 for node in nodes) else 0.0
    if gpus > 1 and not gpus.is_integer():
        raise CallError(f"workers.gpus={gpus:g}: expected a share of one GPU, or whole ones")
    if gpus > 0:
        capacity = [math.floor(node.get("GPU", 0) / gpus) for node in nodes]
    else:
        capacity = [1 if node.get("CPU", 0) >= 1 else 0 for node in nodes]
    count = number_or_auto(config.count, "workers.count", least=1)
    if count is None:
        # A worker without a shard would only load its encoder.
        count = max(1, min(sum(capacity), n_shards))
    cpus = number_or_auto(config.cpus, "workers.cpus", least=1)
    if cpus is None:
        cpus = _cpu_share(nodes, capacity, int(count), at_most=MAX_AUTO_CPUS if gpus else None)
    batch_size = number_or_auto(config.batch_size, "workers.batch_size", least=1)
    return Layout(int(count), gpus, int(cpus), None if batch_size is None else int(batch_size))


def _cpu_share(
    nodes: list[dict[str, float]], capacity: list[int], count: int, at_most: int | None
) -> int:
    """Cores for each of `count` workers, if they spread over the nodes with capacity."""
    usable = [(node.get("CPU", 0), n) for node, n in zip(nodes, capacity, strict=True) if n]
    if not usable:
        return 1
    per_node = math.ceil(count / len(usable))
    share = min(int(cpus // max(1, min(n, count) if n > 1 else per_node)) for cpus, n in usable)
    return max(1, share if at_most is None else min(share, at_most))
