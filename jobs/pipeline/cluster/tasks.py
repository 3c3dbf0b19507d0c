"""Single functions run on the cluster that was joined, beside its workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import ray
from ray.exceptions import RayTaskError

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
    try:
        return ray.get([task.remote(*arguments) for arguments in calls])
    except RayTaskError as error:
        raise error.cause from error
