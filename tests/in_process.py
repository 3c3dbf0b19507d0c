"""A shard job without Ray: one worker, which is the process that asks."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.pipeline.cluster.running import Outcome
from jobs.pipeline.cluster.shard_job import Resources
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.record import RunRecord


def run_here(task: Any, run: RunDirectory, *settings: Any) -> Outcome[Any]:
    """What `cluster.running.run_shard_job` does, where nothing fails and nobody interrupts."""
    to_do = task.begin(run)
    for each in task.passes() if to_do else ():
        processor = each.load(Resources(threads=1, batch_size=4))
        read = [processor.read_input(url) for url in each.inputs]
        shared = each.share([answer for answer, _ in read])
        processor.share(shared, lambda number, read=read: read[number][1])
        for shard in each.to_do(run, to_do):
            processor.process(shard)
    result = task.finish(run, is_on_cluster=False)
    if to_do:
        record = RunRecord(run, task.described(), len(task.shards))
        record.write("done", **task.described(), **task.counted(result))
    return Outcome(result)


def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `jobs.segment` and `jobs.evaluate` do their shards here."""
    for module in ("evaluation", "segmenting_task"):
        monkeypatch.setattr(f"jobs.pipeline.{module}.run_shard_job", run_here)
