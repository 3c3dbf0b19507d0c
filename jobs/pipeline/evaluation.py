"""Evaluating a set of shards, from images to a summary: for the command, and for others to call."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jobs.pipeline.cluster.config import (
    LimitsConfig,
    RayConfig,
    WorkersConfig,
    check_workers_and_limits,
)
from jobs.pipeline.cluster.running import Outcome, run_shard_job
from jobs.pipeline.command.settings import require_in_range, section, setting, table
from jobs.pipeline.dry_run import Look, look_at
from jobs.pipeline.errors import CallError
from jobs.pipeline.masks_first import FirstSegmenterConfig, check_segmenter, with_masks
from jobs.pipeline.results.summary import Summary
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.scoring.config import ComparatorConfig, EncoderConfig, MetricConfig
from jobs.pipeline.scoring_task import Scoring
from jobs.pipeline.storage.filesystem import absolute, refuse_for_results


@dataclass
class ScoringConfig:
    """How samples are scored: whoever asks for it, by one set of shards or night by night."""

    references: list[str] = setting([], "reference shards: URLs, brace ranges, globs")
    limit: int | None = setting(
        None, "score the first so many samples of each shard, in a run of their own; null is all"
    )
    encoder: EncoderConfig = section(EncoderConfig)
    metric: MetricConfig = section(MetricConfig)
    comparators: dict[str, ComparatorConfig] = table(
        "the checkpoint of a comparator, as comparators.NAME.name_or_path=...; null is its own"
    )
    segmenter: FirstSegmenterConfig = section(FirstSegmenterConfig)
    workers: WorkersConfig = section(WorkersConfig)
    ray: RayConfig = section(RayConfig)
    limits: LimitsConfig = section(LimitsConfig)


@dataclass
class _ShardsConfig:
    samples: list[str] = setting([], "generation shards: URLs, brace ranges, globs")
    run: str = setting(help="directory of results; the same call goes on where it stopped")
    overwrite: bool = setting(False, "remove what `run` holds and start anew")
    dry_run: bool = setting(
        False, "look at shards, masks, subjects, references, room and cost, and score nothing"
    )
    prune: bool = setting(False, "remove parts of `run` whose shard is gone or has changed")
    report: bool = setting(False, "write the run's page, report/index.html, at the end")


@dataclass
class EvaluateConfig(ScoringConfig, _ShardsConfig):
    """A set of shards, and how they are scored; fields of the last base come first."""


def evaluate(config: EvaluateConfig) -> Outcome[Summary]:
    """Score the shards, or go on with them, and summarise the run; give them masks first where a
    segmenter is asked for.

    Raises:
        CallError: the call or its configuration is wrong.
        Incomplete: it was not done; the same call goes on from there.
    """
    config = _ready(config)
    run = RunDirectory(config.run)
    if config.segmenter.name is not None:
        # What is wrong with the scoring is said before hours of segmenting.
        Scoring(config).look()
        config = with_masks(config)
    return run_shard_job(Scoring(config), run, config.workers, config.ray, config.limits)


def dry_run(config: EvaluateConfig) -> Look:
    """What an evaluation of this configuration would come to; see `dry_run.look_at`."""
    config = _ready(config)
    if config.segmenter.name is not None:
        raise CallError(
            "dry_run=true looks at shards that have masks: call jobs.segment first, and leave out "
            "segmenter.name"
        )
    return look_at(config, Scoring(config))


def _ready(config: EvaluateConfig) -> EvaluateConfig:
    check(config)
    # Workers have working directories of their own.
    return replace(config, run=absolute(config.run))


def check(config: EvaluateConfig) -> None:
    """What types alone cannot say of the settings.

    Raises:
        CallError: a value out of range.
    """
    refuse_for_results(config.run, "run")
    require_in_range(
        ("encoder.max_num_patches", config.encoder.max_num_patches, 1, 2**16),
        ("metric.fg_threshold", config.metric.fg_threshold, 0.0, 1.0),
        ("metric.min_fg_fraction", config.metric.min_fg_fraction, 0.0, 1.0),
    )
    if config.limit is not None and config.limit < 1:
        raise CallError(f"limit={config.limit}: expected 1 or more, or null for all")
    check_segmenter(config.segmenter)
    check_workers_and_limits(config.workers, config.limits)
