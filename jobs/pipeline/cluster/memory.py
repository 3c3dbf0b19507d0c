"""How much memory a worker has for networks: of its GPU, or its share of a node without one."""

from __future__ import annotations

import logging
import math
import subprocess
from collections.abc import Sequence

from jobs.pipeline.cluster.config import WorkersConfig, number_or_auto
from jobs.pipeline.cluster.layout import Layout, alive_nodes
from jobs.pipeline.cluster.tasks import call_on_nodes

log = logging.getLogger(__name__)

MIB = 2**20

ASK = ("nvidia-smi", "--query-gpu=memory.total,mig.mode.current", "--format=csv,noheader,nounits")
"""Says it without a GPU being taken, of all that a node has, whoever uses them."""
ASK_SECONDS = 20.0


def stated_memory(config: WorkersConfig) -> int | None:
    """What the call says that a worker has, in bytes; None where it leaves it to the cluster."""
    stated = number_or_auto(config.memory_gb, "workers.memory_gb", least=0)
    return None if stated is None else round(stated * 1e9)


def memory_of_worker(config: WorkersConfig, layout: Layout) -> int | None:
    """Bytes that the least well off of the workers would have, on the cluster that was joined.

    None where that cannot be told: nodes with GPUs are yet to come, or do not say.
    """
    stated = stated_memory(config)
    if stated is not None:
        return stated
    nodes = alive_nodes()
    if layout.gpus:
        able = [node["NodeID"] for node in nodes if node["Resources"].get("GPU", 0) >= layout.gpus]
        return least_of_gpus(call_on_nodes(memory_of_gpus, able, ASK_SECONDS), layout.gpus)
    return least_of_nodes([node["Resources"] for node in nodes], layout.count)


def least_of_gpus(told: Sequence[Sequence[int] | None], gpus: float) -> int | None:
    """Of the GPUs of all nodes the smallest, or of it the share that a worker has."""
    known = [n for own in told if own is not None for n in own]
    if not known or len([own for own in told if own]) < len(told):
        return None
    # Of several it computes on one.
    return int(min(known) * min(gpus, 1.0))


def least_of_nodes(nodes: Sequence[dict[str, float]], n_workers: int) -> int | None:
    """What was free on a node without GPUs when Ray came there, shared by the workers that come
    there too where they spread."""
    able = [node for node in nodes if node.get("CPU", 0) >= 1 and "memory" in node]
    if not able:
        return None
    # The object store takes what it is given, and no more than it needs of it.
    free = min(node["memory"] + node.get("object_store_memory", 0) for node in able)
    return int(free / math.ceil(n_workers / len(able)))


def memory_of_gpus() -> list[int] | None:
    """Bytes of each GPU of this machine; None where it does not say, or they are cut into pieces
    (MIG), whose sizes it says elsewhere."""
    try:
        said = subprocess.run(ASK, capture_output=True, text=True, check=True, timeout=ASK_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return sizes_in(said.stdout)


def sizes_in(said: str) -> list[int] | None:
    """Bytes of each GPU by a line such as "24564, Disabled"."""
    sizes = []
    for line in said.splitlines():
        mebibytes, _, mig = (word.strip() for word in line.partition(","))
        if not mebibytes.isdecimal() or mig == "Enabled":
            return None
        sizes.append(int(mebibytes) * MIB)
    return sizes or None
