"""The settings of `jobs.evaluate`: typed, each default once."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.pipeline.command_line import CallError, section, setting
from masc_core import defaults
from masc_core.further_metrics import FURTHER_METRICS


@dataclass
class EncoderConfig:
    name_or_path: str = setting(
        defaults.CHECKPOINT, "SigLIP or SigLIP2 checkpoint: a directory or a hub id; or demo, ours"
    )
    revision: str | None = setting(None, "hub branch, tag or commit; null is the default branch")
    dtype: defaults.Dtype = setting("float32", "precision of the vision tower")
    max_num_patches: int = setting(
        defaults.MAX_NUM_PATCHES, "patch budget of a NaFlex encoder; fixed-size ones ignore it"
    )
    compile: bool = setting(False, "torch.compile the vision tower")
    trust_remote_code: bool = setting(
        False, "let a checkpoint that asks for Python code of its own run it on every worker"
    )


@dataclass
class MetricConfig:
    fg_threshold: float = setting(
        defaults.FG_THRESHOLD, "mask weight from which a patch is foreground"
    )
    stripper: defaults.Stripper = setting(
        "regex", "how the subject leaves the prompt; spacy needs the extra `spacy`"
    )
    reference_reduction: defaults.ReferenceReduction = setting(
        "mean", "how CP against several references becomes one number"
    )
    min_fg_fraction: float = setting(
        0.0, "skip a pair when a mask covers this share of its pixels or less; 0 skips none"
    )
    masks: list[str] = setting(["given"], "foreground masks to score with")
    extra: list[str] = setting([], "further metrics, one column each")


@dataclass
class WorkersConfig:
    count: int | str = setting(
        "auto", "number of workers; auto: one a GPU, or one a machine without GPUs"
    )
    gpus: float | str = setting("auto", "GPUs a worker; auto: 1 on a cluster with GPUs, else 0")
    cpus: int | str = setting("auto", "CPU cores a worker; auto: an equal share of the cluster's")
    batch_size: int | str = setting("auto", "images a forward pass; auto: by the device's memory")


@dataclass
class RayConfig:
    address: str | None = setting(
        None, "cluster to join (auto, or HOST:PORT); null: $RAY_ADDRESS, else Ray on this machine"
    )


@dataclass
class LimitsConfig:
    max_error_rate: float = setting(0.01, "share of error rows above which the exit status is 2")
    max_shard_attempts: int = setting(3, "attempts at a shard before it is set aside in failed/")
    max_image_pixels: int = setting(64_000_000, "larger images are errors, not decoded")
    grace_seconds: float = setting(
        20.0, "after SIGTERM or Ctrl-C: how long shards that were begun may take"
    )


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
        if name not in FURTHER_METRICS:
            known = ", ".join(FURTHER_METRICS) or "none yet"
            raise CallError(f"metric.extra={name}: no such metric; known: {known}")
    if len(set(config.metric.extra)) != len(config.metric.extra):
        raise CallError(f"metric.extra={config.metric.extra}: a metric is named twice")


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
