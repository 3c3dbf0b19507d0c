"""Single functions on a real cluster."""

from __future__ import annotations

import logging
import os

import pytest
import ray

from jobs.pipeline.cluster.kept_workers import kept_workers, workers_kept
from jobs.pipeline.cluster.layout import Layout
from jobs.pipeline.cluster.tasks import call_on_nodes, map_on_cluster, run_on_cluster
from jobs.pipeline.errors import CallError, StorageError


def share(whole: int, parts: int) -> int:
    if not parts:
        raise CallError("parts=0: expected a number from 1 on")
    return whole // parts


def failing() -> int:
    return share(1, 0)


def elsewhere() -> int:
    return os.getpid()


def test_answers_come_in_the_order_of_the_calls(joined: None) -> None:
    assert map_on_cluster(share, [(9, 3), (8, 2), (7, 7)]) == [3, 4, 1]
    assert map_on_cluster(share, []) == []


def test_each_node_is_asked_by_itself_and_one_that_does_not_answer_costs_no_other(
    joined: None,
) -> None:
    [here] = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    [pid, nothing] = call_on_nodes(elsewhere, [here, here[::-1]], 20.0)
    assert pid not in (None, os.getpid())
    assert nothing is None
    assert call_on_nodes(failing, [here], 20.0) == [None]
    assert call_on_nodes(elsewhere, [], 20.0) == []


def test_idle_workers_that_hold_all_cores_do_not_keep_tasks_waiting(joined: None) -> None:
    cores = int(ray.cluster_resources()["CPU"])
    with workers_kept():
        kept = kept_workers()
        assert kept is not None
        actor = kept.start(Layout(1, 0, cores, None))
        ray.get(actor.progress.remote())
        kept.keep(actor)
        calls = [(n, 1) for n in range(3 * cores + 1)]
        assert map_on_cluster(share, calls) == [n for n, _ in calls]


def test_it_runs_in_another_process(joined: None) -> None:
    assert run_on_cluster(elsewhere) != os.getpid()


def test_what_the_function_raises_is_raised_as_it_is(joined: None) -> None:
    with pytest.raises(CallError, match=r"^parts=0: expected a number from 1 on$"):
        run_on_cluster(share, 1, 0)


def test_what_the_function_logs_is_logged_here_before_its_answer(
    joined: None, caplog: pytest.LogCaptureFixture
) -> None:
    def tell(n: int) -> int:
        logging.getLogger("told").info("not asked for")
        logging.getLogger("told").warning("%d parts do not count", n)
        return n

    assert map_on_cluster(tell, [(1,), (2,)]) == [1, 2]
    assert caplog.record_tuples == [
        ("told", logging.WARNING, "1 parts do not count"),
        ("told", logging.WARNING, "2 parts do not count"),
    ]


def test_an_error_of_several_arguments_survives_the_way(joined: None) -> None:
    def fail() -> None:
        raise StorageError("s3://bucket", "access denied", is_transient=True)

    with pytest.raises(StorageError, match=r"^s3://bucket: access denied$") as raised:
        run_on_cluster(fail)
    assert raised.value.is_transient
