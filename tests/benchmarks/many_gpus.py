"""The driver and the commit path under many GPUs, with workers that sleep instead of encoding."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.cluster_utils import Cluster

from jobs.pipeline.cluster.driver import Driver
from jobs.pipeline.cluster.layout import Layout
from jobs.pipeline.cluster.progress import Progress
from jobs.pipeline.cluster.shard_job import Resources
from jobs.pipeline.cluster.worker import Place
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.reports import RowCounts, ShardReport, Timings
from jobs.pipeline.run.rows import OK, SCORES_SCHEMA
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.versions import Version
from tests.benchmarks.figures import Figure, at_most
from tests.runs import open_for


@ray.remote(concurrency_groups={"shards": 2, "progress": 1})  # type: ignore[call-overload]
class SleepingWorker:
    """A worker whose encoder sleeps for as long as a GPU would compute. It commits for real."""

    def __init__(
        self, seconds_a_sample: float, samples_a_shard: int, gathering: Path, n_workers: int
    ) -> None:
        self._gathering = gathering
        self._n_workers = n_workers
        self._seconds = seconds_a_sample * samples_a_shard
        self._n = samples_a_shard
        self._turn = Lock()

    def load(self, load: str, resources: Resources) -> Place:
        """`load` is the run, as it would be part of what a worker loads."""
        self._run = RunDirectory(load)
        # The first table imports pandas where that is installed: part of the start-up.
        pa.Table.from_pylist([{}], schema=SCORES_SCHEMA)
        context = ray.get_runtime_context()
        gpus = list(context.get_accelerator_ids()["GPU"])
        (self._gathering / f"{os.getpid()}").touch()
        return Place(context.get_node_id(), gpus, "sleep", os.getpid())

    def read_input(self, url: str) -> tuple[str, dict[str, np.ndarray]]:
        # All of them share this machine's cores: who starts late would slow down who works already.
        while len(list(self._gathering.iterdir())) < self._n_workers:
            time.sleep(0.2)
        return url, {"r": np.zeros((1, 1), np.float32)}

    def share(self, shared: list[str], stored: list[Any]) -> None:
        pass

    @ray.method(concurrency_group="shards")
    def process(self, shard: Shard) -> ShardReport:
        with self._turn:
            timings = Timings(began=time.time())
            time.sleep(self._seconds)
            timings.scoring = time.time() - timings.began
        rows = [
            {"key": f"{shard.id}/{i}", "shard": shard.url, "model": f"m{i % 7}", "concept": "c",
             "prompt": "a photo of a cat", "cp": 0.5 + i / 1e4, "pf": 0.1, "status": OK}
            for i in range(self._n)
        ]  # fmt: skip
        table = pa.Table.from_pylist(rows, schema=SCORES_SCHEMA)
        began = time.monotonic()
        self._run.commit(shard, table, {})
        timings.commit = time.monotonic() - began
        return ShardReport(shard.id, RowCounts(ok=self._n), timings, None)

    @ray.method(concurrency_group="progress")
    def progress(self) -> dict[str, RowCounts]:
        return {}


class SleepingJob:
    """One input, which all workers wait for."""

    participle = "scored"
    inputs_setting = "references"
    inputs = ("references",)

    def __init__(self, run: str) -> None:
        self.load: Any = run

    def share(self, answers: Sequence[str]) -> list[str]:
        """What every worker is told."""
        return list(answers)


def simulate(
    folder: Path, n_nodes: int, gpus_a_node: int, rate: float, samples_a_shard: int, n_each: int
) -> list[Figure]:
    """A run on `n_nodes * gpus_a_node` logical GPUs that score `rate` samples a second each.

    Args:
        n_each: shards a worker.
    """
    n = n_nodes * gpus_a_node
    run = RunDirectory(str(folder / "many-gpus"))
    open_for(run, {}, overwrite=True)
    gathering = Path(tempfile.mkdtemp())
    shards = [Shard(f"/shards/{i:06d}.tar", Version(0, "")) for i in range(n * n_each)]
    layout = Layout(n, 1, 0, None)
    cluster = Cluster()
    try:
        for _ in range(n_nodes):
            cluster.add_node(num_cpus=2, num_gpus=gpus_a_node, include_dashboard=False)
        ray.init(cluster.address, logging_level="ERROR", log_to_driver=False)

        def start(layout: Layout) -> Any:
            options = {"num_gpus": 1, "num_cpus": 0, "scheduling_strategy": "SPREAD"}
            return SleepingWorker.options(**options).remote(1 / rate, samples_a_shard, gathering, n)

        with Progress(len(shards)) as progress:
            driver = Driver(SleepingJob(run.url), layout, run, shards, 3, [progress], start)
            before = resource.getrusage(resource.RUSAGE_SELF)
            driver.do_all()
            after = resource.getrusage(resource.RUSAGE_SELF)
            seconds = time.monotonic() - (driver.began_shards or 0)
        workers = driver.describe_workers()
    finally:
        ray.shutdown()
        cluster.shutdown()
        shutil.rmtree(gathering)
    idle = sum(worker["idle"] for worker in workers)
    busy = sum(worker["scoring"] for worker in workers)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    committed = len(run.parts())
    if committed != len(shards):
        raise AssertionError(f"{committed} parts of {len(shards)} shards")
    return [
        at_most(
            f"idle between shards, {n} GPUs on {n_nodes} nodes",
            idle / (idle + busy),
            "",
            0.02,
            f"{len(shards)} shards of {samples_a_shard / rate:.1f} s; "
            f"{len(shards) / seconds:.1f} committed a second",
        ),
        Figure("  driver's CPU", cpu / seconds, "cores"),
    ]
