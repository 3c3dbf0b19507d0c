"""How many workers of what size fit on a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.pipeline.cluster.config import WorkersConfig
from jobs.pipeline.cluster.layout import Layout, layout_for, require_possible, why_impossible
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


def test_a_gpu_and_a_half_is_refused() -> None:
    with pytest.raises(CallError, match=r"workers\.gpus=1\.5: expected a share of one GPU, or"):
        layout_for(WorkersConfig(gpus=1.5), EIGHT_GPUS, 1)
    assert layout_for(WorkersConfig(gpus=2.0), EIGHT_GPUS, 9).count == 4


@pytest.mark.parametrize(
    ("nodes", "gpus", "cpus", "problem"),
    [
        (TWO_CORES, 0, 2, None),
        (TWO_CORES, 0, 64, "workers.cpus=64: no node has as much for a worker; there is 0 GPU, 2"),
        (TWO_CORES, 1, 1, "workers.gpus=1: no node has as much for a worker; there is 0 GPU, 2"),
        (TWO_CORES * 64, 0, 64, "workers.cpus=64: no node has as much for a worker; there is 0 "),
        (EIGHT_GPUS, 0.5, 128, None),
        # Each of the two is somewhere, but not on one node.
        (
            [{"CPU": 64.0}, {"CPU": 4.0, "GPU": 1.0}],
            *(
                1,
                16,
                "workers.gpus=1, workers.cpus=16: no node has as much for a worker; there is ",
            ),
        ),
        ([], 0, 1, "workers.gpus=0, "),
    ],
)
def test_what_no_node_could_ever_give_is_named_with_what_is_there(
    nodes: list[dict[str, float]], gpus: float, cpus: int, problem: str | None
) -> None:
    said = why_impossible(Layout(1, gpus, cpus, None), nodes)
    assert said is None if problem is None else said is not None and said.startswith(problem)


def test_a_cluster_that_may_grow_is_waited_for_and_one_that_will_not_is_refused(
    joined: None, caplog: pytest.LogCaptureFixture
) -> None:
    too_large = Layout(1, 0, 64, None)
    with pytest.raises(
        CallError, match=r"^workers\.cpus=64: .* there is 0 GPU, 2 CPU; ask for less"
    ):
        require_possible(too_large, may_grow=False)
    require_possible(too_large, may_grow=True)
    [warning] = caplog.records
    assert warning.levelname == "WARNING"
    assert warning.getMessage().startswith("workers.cpus=64: no node has as much")
    require_possible(Layout(1, 0, 2, None), may_grow=False)
