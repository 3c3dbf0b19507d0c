"""What the driver keeps of a worker."""

from __future__ import annotations

import pytest
import ray

from jobs.pipeline.cluster.worker import Place
from jobs.pipeline.cluster.worker_handle import WorkerHandle
from jobs.pipeline.run.reports import RowCounts, ShardReport, Timings
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.versions import Version


def report(shard_id: str, n: int, timings: Timings) -> ShardReport:
    return ShardReport(shard_id, RowCounts(ok=n - 1, error=1), timings, None)


def test_it_says_where_a_workers_seconds_went_and_idle_is_what_lies_between_shards() -> None:
    worker = WorkerHandle(None, Place("node", ["0"], "cuda:0", 7, "H100"))
    # From 10 to 16 the first shard, from 18 to 23 the second, in whatever order they are told.
    worker.reports = [
        report("b", 4, Timings(began=18.0, waiting=1.0, scoring=4.0, commit=0.5)),
        report("a", 6, Timings(began=10.0, waiting=2.0, scoring=4.0, commit=0.25)),
    ]
    assert worker.describe() == {
        "node": "node",
        "gpus": ["0"],
        "device": "cuda:0",
        "pid": 7,
        "device_name": "H100",
        "n_kept": 0,
        "shards": 2,
        "samples": 10,
        "waiting": 3.0,
        "scoring": 8.0,
        "commit": 0.75,
        "idle": 2.0,
    }


def test_a_released_shard_leaves_nothing_behind() -> None:
    shard = Shard("/a.tar", Version(1, ""))
    worker = WorkerHandle(None, shards={shard.id: shard}, is_alone=True)
    worker.counts[shard.id] = RowCounts(ok=3)
    worker.release(shard.id)
    assert (worker.shards, worker.counts, worker.is_alone) == ({}, {}, False)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_node_is_gone_that_the_cluster_does_not_know(joined: None, is_there: bool) -> None:
    here = ray.get_runtime_context().get_node_id()
    place = Place(here if is_there else "0" * len(here), [], "cpu", 1)
    assert WorkerHandle(None, place).is_node_gone() is not is_there
    # Where it is, is not known before it has loaded.
    assert not WorkerHandle(None).is_node_gone()
