"""How much memory a worker has for networks: of its GPU, or its share of a node without one."""

from __future__ import annotations

import logging
import math
import subprocess
from collections.abc import Mapping, Sequence

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
    nodes = [each for each in alive_nodes() if _has_room(each["Resources"], layout)]
    resources = [each["Resources"] for each in nodes]
    if not layout.gpus:
        return least_of_nodes(resources, layout.count)
    told = call_on_nodes(memory_of_gpus, [each["NodeID"] for each in nodes], ASK_SECONDS)
    if 0 < (n_silent := told.count(None)) < len(told):
        log.warning(
            "%d of %d nodes do not say what memory their GPUs have: taken to be as large as the "
            "others'; workers.memory_gb=GB says it",
            *(n_silent, len(told)),
        )
    shared = [_largest(own, int(each["GPU"])) for own, each in zip(told, resources, strict=True)]
    return least_of_gpus(shared, layout.gpus)


def _has_room(node: Mapping[str, float], layout: Layout) -> bool:
    """Whether a worker fits on it while it is empty."""
    return node.get("GPU", 0) >= layout.gpus and node.get("CPU", 0) >= layout.cpus


def _largest(sizes: Sequence[int] | None, n: int) -> Sequence[int] | None:
    """Of the GPUs of a node those that Ray was given: the program tells of all, and a small one for
    the screen is left out first."""
    return None if sizes is None else sorted(sizes, reverse=True)[:n]


def least_of_gpus(told: Sequence[Sequence[int] | None], gpus: float) -> int | None:
    """Of the GPUs of all nodes that say it the smallest, or of it the share that a worker has."""
    known = [n for own in told if own is not None for n in own]
    # Of several it computes on one.
    return int(min(known) * min(gpus, 1.0)) if known else None


def least_of_nodes(nodes: Sequence[Mapping[str, float]], n_workers: int) -> int | None:
    """What was free on a node without GPUs when Ray came there, shared by the workers that come
    there too where they spread."""
    able = [node for node in nodes if "memory" in node]
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
