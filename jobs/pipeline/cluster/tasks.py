"""Single functions run on the cluster that was joined, beside its workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.pipeline.cluster.kept_workers import kept_workers

Answer = TypeVar("Answer")


def object_store_bytes() -> int:
    """Of all nodes of the cluster together."""
    return int(ray.cluster_resources().get("object_store_memory", 0))


def run_on_cluster(function: Callable[..., Answer], *arguments: Any) -> Answer:
    """What `function` answers, called on some node of the cluster; see `map_on_cluster`."""
    [answer] = map_on_cluster(function, [arguments])
    return answer


def call_on_nodes(
    function: Callable[[], Answer], node_ids: Sequence[str], seconds: float
) -> list[Answer | None]:
    """What `function` answers on each of these nodes, where it takes nothing of what Ray counts;
    None of a node that does not answer within so many seconds, or on which it fails."""
    asked = [
        ray.remote(function)
        .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(each, soft=False))
        .remote()
        for each in node_ids
    ]
    ended = set(ray.wait(asked, num_returns=len(asked), timeout=seconds)[0]) if asked else set()
    answers: list[Answer | None] = []
    for each in asked:
        try:
            answers.append(ray.get(each) if each in ended else None)
        except RayError:
            answers.append(None)
    return answers


def map_on_cluster(
    function: Callable[..., Answer], calls: Sequence[tuple[Any, ...]]
) -> list[Answer]:
    """What `function` answers to each call, in their order; a core of the cluster each.

    It raises what the function does. What the function logs is logged here, by the loggers that it
    took, once it has answered.
    """
    options: dict[str, Any] = {"name": function.__name__}
    level = logging.getLogger().getEffectiveLevel()
    n_at_once = len(calls)
    if kept_workers():
        # Theirs are idle now, and taken by Ray's account.
        options["num_cpus"] = 0
        n_at_once = max(1, int(ray.cluster_resources().get("CPU", 1)))
    task = ray.remote(_with_its_log).options(**options)
    asked: list[Any] = []
    try:
        for arguments in calls:
            if len(asked) >= n_at_once:
                ray.wait(asked, num_returns=len(asked) - n_at_once + 1)
            asked.append(task.remote(level, function, *arguments))
        answered = ray.get(asked)
    except RayTaskError as error:
        raise error.cause from error
    for _, records in answered:
        for record in records:
            logging.getLogger(record.name).handle(record)
    return [answer for answer, _ in answered]


def _with_its_log(
    level: int, function: Callable[..., Answer], *arguments: Any
) -> tuple[Answer, list[logging.LogRecord]]:
    """What the function answers and logs. Ray would bring the lines too, but later, and not at all
    where the caller has left the cluster by then."""
    queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
    root, handler = logging.getLogger(), QueueHandler(queue)
    handlers, before = root.handlers, root.level
    root.handlers = [handler]
    root.setLevel(level)
    try:
        answer = function(*arguments)
    finally:
        root.handlers = handlers
        root.setLevel(before)
    return answer, [queue.get() for _ in range(queue.qsize())]
