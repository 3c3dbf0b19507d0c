"""The settings of `jobs.evaluate`: typed, each default once."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.pipeline.cluster.config import LimitsConfig, RayConfig, WorkersConfig, number_or_auto
from jobs.pipeline.command.settings import section, setting
from jobs.pipeline.errors import CallError
from jobs.pipeline.scoring.config import EncoderConfig, MetricConfig
from jobs.pipeline.storage.filesystem import refuse_memory
from masc_core.aggregators import AGGREGATORS


@dataclass
class EvaluateConfig:
    samples: list[str] = setting([], "generation shards: URLs, brace ranges, globs")
    references: list[str] = setting([], "reference shards: URLs, brace ranges, globs")
    run: str = setting(help="directory of results; the same call goes on where it stopped")
    overwrite: bool = setting(False, "remove what `run` holds and start anew")
    encoder: EncoderConfig = section(EncoderConfig)
    metric: MetricConfig = section(MetricConfig)
    workers: WorkersConfig = section(WorkersConfig)
    ray: RayConfig = section(RayConfig)
    limits: LimitsConfig = section(LimitsConfig)


def check(config: EvaluateConfig) -> None:
    """What types alone cannot say of the settings.

    Raises:
        CallError: a value out of range, or a name that is not known.
    """
    refuse_memory(config.run, "run")
    for name, value, least, most in (
        ("encoder.max_num_patches", config.encoder.max_num_patches, 1, 2**16),
        ("metric.fg_threshold", config.metric.fg_threshold, 0.0, 1.0),
        ("metric.min_fg_fraction", config.metric.min_fg_fraction, 0.0, 1.0),
        ("limits.max_error_rate", config.limits.max_error_rate, 0.0, 1.0),
        ("limits.max_shard_attempts", config.limits.max_shard_attempts, 1, 100),
        ("limits.max_image_pixels", config.limits.max_image_pixels, 1, 2**40),
        ("limits.grace_seconds", config.limits.grace_seconds, 0.0, 86_400.0),
    ):
        if not least <= value <= most:
            raise CallError(f"{name}={value}: expected {least} to {most}")
    number_or_auto(config.workers.count, "workers.count", least=1)
    number_or_auto(config.workers.gpus, "workers.gpus", least=0)
    number_or_auto(config.workers.cpus, "workers.cpus", least=1)
    number_or_auto(config.workers.batch_size, "workers.batch_size", least=1)
    if config.metric.masks != ["given"]:
        raise CallError(f"metric.masks={config.metric.masks}: the one mask known is 'given'")
    for name in config.metric.extra:
        if name not in AGGREGATORS:
            known = ", ".join(AGGREGATORS) or "none yet"
            raise CallError(f"metric.extra={name}: no such metric; known: {known}")
    if len(set(config.metric.extra)) != len(config.metric.extra):
        raise CallError(f"metric.extra={config.metric.extra}: a metric is named twice")
