"""The Ray actor: what a job loads, on one device, doing two shards at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

import ray

from jobs.pipeline.cluster import allocator
from jobs.pipeline.cluster.layout import Layout
from jobs.pipeline.cluster.shard_job import InputProcessor, Resources, ShardProcessor
from jobs.pipeline.networks import Networks
from jobs.pipeline.run.reports import RowCounts, ShardReport
from jobs.pipeline.run.shard import Shard

OPEN_INPUTS = 8
"""Stored inputs that a worker keeps open; one from another node is then also held on its own."""


@dataclass(frozen=True)
class Place:
    """Where a worker runs."""

    node: str
    """Ray's id of the node."""
    gpus: list[str]
    """Ids, on that node, of the GPUs that are its own."""
    device: str
    """Where it computes."""
    pid: int
    device_name: str = ""
    """What that device is: of a GPU its model, as another's kernels give other last digits."""
    n_kept: int = 0
    """Networks that it works with and had loaded for an earlier job."""


@ray.remote(concurrency_groups={"shards": 2, "progress": 1})  # type: ignore[call-overload]
class Worker:
    """Does a job's work. `load` comes first, then inputs, then `share`, then shards; and `load`
    again, where it is kept for another job.

    It takes two shards at a time: while one has the device, the next is opened and decoded ahead,
    and the one before it is committed.
    """

    def __init__(self) -> None:
        """Nothing is loaded yet, so that what goes wrong in loading is an answer, not a death."""
        self._processor: ShardProcessor | None = None
        self._networks = Networks()

    def load(self, load: Callable[[Resources], ShardProcessor], resources: Resources) -> Place:
        """Load what the job needs, but for what a job before it has loaded.

        Raises:
            CallError: it cannot be loaded.
        """
        self._processor = None  # lets go of what that one held
        self._processor = load(replace(resources, networks=self._networks))
        context = ray.get_runtime_context()
        return Place(
            node=context.get_node_id(),
            gpus=list(context.get_accelerator_ids().get("GPU", [])),
            device=self._processor.device,
            pid=os.getpid(),
            device_name=_name_of(self._processor.device),
            n_kept=self._networks.n_kept,
        )

    def read_input(self, url: str) -> tuple[Any, Any]:
        """Read an input of the first phase: the answer, and what is stored, as two objects."""
        return cast(InputProcessor, self._loaded).read_input(url)

    def share(self, shared: Any, stored: list[Any]) -> None:
        """Begin with what all workers share; `stored` are Ray's references, an input each."""
        # Within a node the object store lends its memory: nothing is copied.
        opened: Any = lru_cache(maxsize=OPEN_INPUTS)(ray.get)
        self._loaded.share(shared, lambda number: opened(stored[number]))

    @ray.method(concurrency_group="shards")
    def process(self, shard: Shard) -> ShardReport:
        """Do a shard and commit it."""
        return self._loaded.process(shard)

    @ray.method(concurrency_group="progress")
    def progress(self) -> dict[str, RowCounts]:
        """The rows so far of the shards at hand, by id; answers while they are being done."""
        return dict(self._processor.counts) if self._processor else {}

    @property
    def _loaded(self) -> ShardProcessor:
        assert self._processor is not None, "load() comes first"
        return self._processor


def _name_of(device: str) -> str:
    if not device.startswith("cuda"):
        return device
    import torch  # by now it is loaded; a driver has no need of it

    return torch.cuda.get_device_name(device)


def start_worker(layout: Layout) -> Any:
    """A new worker actor, with a device of its own where there are GPUs."""
    return Worker.options(  # type: ignore[attr-defined]
        num_gpus=layout.gpus,
        num_cpus=layout.cpus,
        scheduling_strategy="SPREAD",
        runtime_env={"env_vars": allocator.ENVIRONMENT},
    ).remote()
