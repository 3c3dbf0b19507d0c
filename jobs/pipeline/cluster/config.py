"""How many workers, on which cluster, and within what limits: typed, each default once."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.pipeline.command.settings import require_in_range, setting
from jobs.pipeline.errors import CallError
from jobs.pipeline.shards.members import USUAL_MAX_PIXELS


@dataclass
class WorkersConfig:
    count: int | str = setting(
        "auto", "number of workers; auto: one a GPU, or one a machine without GPUs"
    )
    gpus: float | str = setting("auto", "GPUs a worker; auto: 1 on a cluster with GPUs, else 0")
    cpus: int | str = setting("auto", "CPU cores a worker; auto: an equal share of the cluster's")
    batch_size: int | str = setting("auto", "images a forward pass; auto: by the device's memory")
    memory_gb: float | str = setting(
        "auto", "memory that a worker has for networks; auto: its GPU's, or its share of the node's"
    )


@dataclass
class RayConfig:
    address: str | None = setting(
        None, "cluster to join (auto, or HOST:PORT); null: $RAY_ADDRESS, else Ray on this machine"
    )


@dataclass
class LimitsConfig:
    max_error_rate: float = setting(0.01, "share of error rows above which the exit status is 2")
    max_shard_attempts: int = setting(3, "attempts at a shard before it is set aside in failed/")
    max_image_pixels: int = setting(USUAL_MAX_PIXELS, "larger images are errors, not decoded")
    grace_seconds: float = setting(
        20.0, "after SIGTERM or Ctrl-C: how long shards that were begun may take"
    )


def check_workers_and_limits(workers: WorkersConfig, limits: LimitsConfig) -> None:
    """What types alone cannot say of them.

    Raises:
        CallError: a value out of range.
    """
    require_in_range(
        ("limits.max_error_rate", limits.max_error_rate, 0.0, 1.0),
        ("limits.max_shard_attempts", limits.max_shard_attempts, 1, 100),
        ("limits.max_image_pixels", limits.max_image_pixels, 1, 2**40),
        ("limits.grace_seconds", limits.grace_seconds, 0.0, 86_400.0),
    )
    number_or_auto(workers.count, "workers.count", least=1)
    number_or_auto(workers.gpus, "workers.gpus", least=0)
    number_or_auto(workers.cpus, "workers.cpus", least=1)
    number_or_auto(workers.batch_size, "workers.batch_size", least=1)
    memory_gb = number_or_auto(workers.memory_gb, "workers.memory_gb", least=0)
    require_in_range(("workers.memory_gb", memory_gb or 0.0, 0.0, 2.0**20))


def number_or_auto(value: float | str, name: str, least: float) -> float | None:
    """The number, or None for "auto".

    Raises:
        CallError: neither, or less than `least`.
    """
    if value == "auto":
        return None
    if isinstance(value, int | float) and value >= least:
        return float(value)
    raise CallError(f"{name}={value}: expected auto or a number, {least:g} or more")
