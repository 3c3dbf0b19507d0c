"""What is shown of a run on its way, where stderr is no terminal."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from jobs.pipeline.cluster import progress as progress_module
from jobs.pipeline.cluster.progress import LINE_SECONDS, Progress
from jobs.pipeline.cluster.standing import Standing
from jobs.pipeline.cluster.worker_handle import WorkerHandle
from jobs.pipeline.run.reports import RowCounts

TWO = [WorkerHandle(actor=None), WorkerHandle(actor=None)]


class Clock:
    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    caplog.set_level(logging.INFO)
    return clock


def test_the_rate_counts_from_when_workers_score_and_the_time_left_follows_from_shards(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with Progress(8) as progress:
        clock.now += 100  # encoders are loaded
        progress.show(Standing(workers=TWO))
        clock.now += 60
        # 3 of 8 shards in 60 s: 5 more take 100 s. 1,200 samples in 60 s are 20 a second.
        counts = RowCounts(ok=1190, skipped=3, error=7)
        progress.show(Standing(n_shards_done=3, counts=counts, workers=TWO))
    assert caplog.messages == [
        "0/8 shards · 0 samples · 0.0/s · 0 errors · workers: 2 · ? left",
        "3/8 shards · 1,200 samples · 20.0/s · 7 errors · workers: 2 · 0:01:40 left",
    ]


def test_lines_come_no_closer_than_a_few_seconds(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with Progress(10) as progress:
        for _ in range(20):
            clock.now += LINE_SECONDS / 4
            progress.show(Standing(n_shards_done=1, counts=RowCounts(ok=1), workers=TWO))
    assert len(caplog.messages) == 5


def test_one_pass_among_several_says_which(clock: Clock) -> None:
    for title, said in (("", None), ("pass 2 of 2: hpsv3", "pass 2 of 2: hpsv3")):
        with Progress(8, "scoring", title) as progress:
            progress.show(Standing(workers=TWO))
        assert progress.document()["pass"] == said
