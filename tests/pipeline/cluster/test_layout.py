"""How many workers of what size fit on a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.pipeline.cluster.config import WorkersConfig
from jobs.pipeline.cluster.layout import Layout, layout_for
from jobs.pipeline.errors import CallError

TWO_CORES = [{"CPU": 2.0}]
EIGHT_GPUS = [{"CPU": 128.0, "GPU": 8.0}]


@pytest.mark.parametrize(
    ("nodes", "settings", "n_shards", "layout"),
    [
        (TWO_CORES, {}, 10, Layout(1, 0, 2, None)),
        (TWO_CORES, {"count": 2}, 10, Layout(2, 0, 1, None)),
        (TWO_CORES, {"count": 5}, 10, Layout(5, 0, 1, None)),
        (TWO_CORES * 3, {}, 10, Layout(3, 0, 2, None)),
        (TWO_CORES * 2, {"count": 4}, 10, Layout(4, 0, 1, None)),
        (TWO_CORES * 3, {}, 2, Layout(2, 0, 2, None)),
        (EIGHT_GPUS, {}, 100, Layout(8, 1, 16, None)),
        (EIGHT_GPUS, {}, 3, Layout(3, 1, 16, None)),
        (EIGHT_GPUS, {"batch_size": 7, "cpus": 4}, 100, Layout(8, 1, 4, 7)),
        (EIGHT_GPUS, {"gpus": 0.5}, 100, Layout(16, 0.5, 8, None)),
        # A head without GPUs takes no worker where there are GPUs.
        ([{"CPU": 4.0}, {"CPU": 16.0, "GPU": 2.0}], {}, 100, Layout(2, 1, 8, None)),
        ([{"CPU": 1.0, "GPU": 4.0}], {}, 100, Layout(4, 1, 1, None)),
        (EIGHT_GPUS, {"gpus": 0}, 100, Layout(1, 0, 128, None)),
    ],
)
def test_workers_fill_the_cluster(
    nodes: list[dict[str, float]], settings: dict[str, Any], n_shards: int, layout: Layout
) -> None:
    assert layout_for(WorkersConfig(**settings), nodes, n_shards) == layout


@pytest.mark.parametrize("value", ["many", 0, -1, [], None])
def test_a_count_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(CallError, match=r"workers\.count=.*: expected auto or a number"):
        layout_for(WorkersConfig(count=value), TWO_CORES, 1)
