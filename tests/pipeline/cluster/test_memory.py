"""What memory workers have for networks, by what nodes say."""

from __future__ import annotations

import pytest

from jobs.pipeline.cluster import memory
from jobs.pipeline.cluster.config import LimitsConfig, WorkersConfig, check_workers_and_limits
from jobs.pipeline.cluster.layout import Layout
from jobs.pipeline.cluster.memory import (
    MIB,
    least_of_gpus,
    least_of_nodes,
    memory_of_gpus,
    memory_of_worker,
    sizes_in,
    stated_memory,
)
from jobs.pipeline.errors import CallError

GB = 10**9


@pytest.mark.parametrize(
    ("said", "sizes"),
    [
        # As nvidia-smi has them: an L4, whose 24 GB are 23,034 MiB to it.
        ("23034, [N/A]\n", [23034]),
        ("81559, Disabled\n81559, Disabled\n", [81559, 81559]),
        # Cut into pieces, of which no worker has the whole.
        ("81559, Enabled\n", None),
        ("[Insufficient Permissions], Disabled\n", None),
        ("No devices were found\n", None),
        ("", None),
    ],
)
def test_what_a_node_says_of_its_gpus(said: str, sizes: list[int] | None) -> None:
    assert sizes_in(said) == (None if sizes is None else [n * MIB for n in sizes])


def test_a_machine_without_the_program_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert memory_of_gpus() is None


@pytest.mark.parametrize(
    ("told", "gpus", "bytes_of_worker"),
    [
        ([[80 * GB, 80 * GB], [24 * GB]], 1.0, 24 * GB),
        ([[80 * GB]], 0.25, 20 * GB),
        # It computes on one of several.
        ([[80 * GB] * 4], 2.0, 80 * GB),
        # Nodes that do not say are taken to be as the others; and there may be none yet.
        ([[80 * GB], None], 1.0, 80 * GB),
        ([None, None], 1.0, None),
        ([], 1.0, None),
    ],
)
def test_a_worker_has_the_smallest_gpu_or_its_share_of_it(
    told: list[list[int] | None], gpus: float, bytes_of_worker: int | None
) -> None:
    assert least_of_gpus(told, gpus) == bytes_of_worker


@pytest.mark.parametrize(
    ("memories", "n_workers", "bytes_of_worker"),
    [
        ([32 * GB], 1, 32 * GB),
        ([32 * GB], 4, 8 * GB),
        # Three on two nodes: two of them on one, which may be the smaller.
        ([64 * GB, 32 * GB], 3, 16 * GB),
        ([64 * GB, 32 * GB], 1, 32 * GB),
        ([], 1, None),
    ],
)
def test_a_worker_without_a_gpu_has_its_share_of_the_smallest_node(
    memories: list[int], n_workers: int, bytes_of_worker: int | None
) -> None:
    # Of which Ray means a quarter for its object store.
    nodes = [{"CPU": 8.0, "memory": 0.75 * n, "object_store_memory": 0.25 * n} for n in memories]
    assert least_of_nodes(nodes, n_workers) == bytes_of_worker


def cluster_of(monkeypatch: pytest.MonkeyPatch, told: list[list[int] | None], *nodes: dict) -> None:
    """A cluster of these nodes, by their resources, that say this of their GPUs."""
    alive = [{"NodeID": str(n), "Resources": each} for n, each in enumerate(nodes)]
    monkeypatch.setattr(memory, "alive_nodes", lambda: alive)
    monkeypatch.setattr(
        memory, "call_on_nodes", lambda _, ids, seconds: [told[int(each)] for each in ids]
    )


def test_nodes_on_which_no_worker_fits_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = {"CPU": 2.0, "memory": 1 * GB}, {"CPU": 16.0, "memory": 64 * GB}
    cluster_of(monkeypatch, [], small, large)
    # Two of eight cores go to the large one alone.
    assert memory_of_worker(WorkersConfig(), Layout(2, 0.0, 8, None)) == 32 * GB
    with_gpu = {"CPU": 16.0, "GPU": 1.0}
    cluster_of(monkeypatch, [None, [24 * GB, 2 * GB], None], small, with_gpu, large)
    # Ray was given one of its two GPUs: not the one of the screen.
    assert memory_of_worker(WorkersConfig(), Layout(1, 1.0, 1, None)) == 24 * GB


def test_a_node_that_does_not_say_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with_gpu = {"CPU": 16.0, "GPU": 1.0}
    cluster_of(monkeypatch, [[24 * GB], None], with_gpu, with_gpu)
    assert memory_of_worker(WorkersConfig(), Layout(2, 1.0, 1, None)) == 24 * GB
    assert "1 of 2 nodes do not say what memory their GPUs have" in caplog.text


def test_the_call_has_the_last_word() -> None:
    stated = WorkersConfig(memory_gb=24)
    assert stated_memory(stated) == 24 * GB
    # No cluster is asked; there is none.
    assert memory_of_worker(stated, Layout(1, 1.0, 1, None)) == 24 * GB
    assert stated_memory(WorkersConfig()) is None
    for wrong in (-1, float("inf"), float("nan"), "24GB"):
        with pytest.raises(CallError, match=r"^workers\.memory_gb=.*: expected "):
            check_workers_and_limits(WorkersConfig(memory_gb=wrong), LimitsConfig())
