"""Single functions run on the cluster that was joined, beside its workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import ray
from ray.exceptions import RayTaskError

from jobs.pipeline.cluster.kept_workers import kept_workers

Answer = TypeVar("Answer")


def object_store_bytes() -> int:
    """Of all nodes of the cluster together."""
    return int(ray.cluster_resources().get("object_store_memory", 0))


def run_on_cluster(function: Callable[..., Answer], *arguments: Any) -> Answer:
    """What `function` answers, called on some node of the cluster. It raises what the function
    does."""
    [answer] = map_on_cluster(function, [arguments])
    return answer


def map_on_cluster(
    function: Callable[..., Answer], calls: Sequence[tuple[Any, ...]]
) -> list[Answer]:
    """What `function` answers to each call, in their order; a core of the cluster each."""
    task: Any = ray.remote(function)
    n_at_once = len(calls)
    if kept_workers():
        # Theirs are idle now, and taken by Ray's account.
        task = task.options(num_cpus=0)
        n_at_once = max(1, int(ray.cluster_resources().get("CPU", 1)))
    asked: list[Any] = []
    try:
        for arguments in calls:
            if len(asked) >= n_at_once:
                ray.wait(asked, num_returns=len(asked) - n_at_once + 1)
            asked.append(task.remote(*arguments))
        return ray.get(asked)
    except RayTaskError as error:
        raise error.cause from error
