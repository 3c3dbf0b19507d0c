"""Evaluating a set of shards, from images to a summary: for the command, and for others to call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jobs.pipeline.cluster.config import (
    LimitsConfig,
    RayConfig,
    WorkersConfig,
    check_workers_and_limits,
)
from jobs.pipeline.cluster.running import Outcome, run_shard_job
from jobs.pipeline.command.settings import require_in_range, section, setting, table
from jobs.pipeline.comparison import GATE, CompareConfig, rules_of
from jobs.pipeline.dry_run import Look, look_at
from jobs.pipeline.errors import CallError
from jobs.pipeline.gating import Gate
from jobs.pipeline.masks_first import FirstSegmenterConfig, check_segmenter, with_masks
from jobs.pipeline.results.comparison.comparing import LOWER_IS_BETTER, Rules
from jobs.pipeline.results.comparison.pairing import AUTO
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
class GateConfig:
    """How a run is held against the baseline that it may be decided by, before its end."""

    baseline_model: str | None = setting(None, "its model; null is its only one")
    margins: dict[str, float | None] = table(
        "by column, how much worse still counts as the same; null takes it out of the gate", GATE
    )
    lower_is_better: list[str] = setting(sorted(LOWER_IS_BETTER), "columns that should not rise")
    confidence: float = setting(Rules.confidence, "of all verdicts together")
    min_concepts: int = setting(Rules.min_concepts, "with fewer nothing is decided")
    pair_by: str = setting(AUTO, "seed, prompt or concept; auto is the finest that makes pairs")
    allow_different: bool = setting(False, "compare runs that were scored in different ways")


@dataclass
class _DecidingConfig:
    baseline: str | None = setting(None, "with early=true: the run that this one is held against")
    early: bool = setting(
        False, "look after each shard, and stop when the verdict stands: 4 regressed, 5 undecided"
    )
    gate: GateConfig = section(GateConfig)


@dataclass
class EvaluateConfig(ScoringConfig, _DecidingConfig, _ShardsConfig):
    """A set of shards, and how they are scored; fields of the last base come first."""


def comparing(config: EvaluateConfig) -> CompareConfig:
    """How a run that may be decided early is held against its baseline."""
    gate = config.gate
    return CompareConfig(
        baseline=config.baseline or "",
        candidate=[config.run],
        columns=[column for column, margin in gate.margins.items() if margin is not None],
        gate=gate.margins,
        baseline_model=gate.baseline_model,
        lower_is_better=gate.lower_is_better,
        confidence=gate.confidence,
        min_concepts=gate.min_concepts,
        pair_by=gate.pair_by,
        allow_different=gate.allow_different,
    )


def evaluate(config: EvaluateConfig, against: Sequence[CompareConfig] = ()) -> Outcome[Summary]:
    """Score the shards, or go on with them, and summarise the run; give them masks first where a
    segmenter is asked for.

    Args:
        against: how it is held against baselines meanwhile; it stops where all are decided.

    Raises:
        CallError: the call or its configuration is wrong.
        Incomplete: it was not done; the same call goes on from there.
    """
    config = _ready(config)
    run = RunDirectory(config.run)
    if config.early:
        against = [comparing(config), *against]
    gated = _gated(against)
    if config.segmenter.name is not None:
        # What is wrong with the scoring is said before hours of segmenting.
        scoring = Scoring(config, gated)
        scoring.look()
        _gate(scoring, config, against)
        config = with_masks(config)
    scoring = Scoring(config, gated)
    gate = _gate(scoring, config, against)
    return run_shard_job(scoring, run, config.workers, config.ray, config.limits, gate)


def _gated(against: Sequence[CompareConfig]) -> frozenset[str]:
    """The columns by which the run may be decided before its end."""
    return frozenset(column for each in against for column in rules_of(each).gate)


def _gate(
    scoring: Scoring, config: EvaluateConfig, against: Sequence[CompareConfig]
) -> Gate | None:
    """What may end the run early; None where it is held against nothing."""
    if not against:
        return None
    return Gate(against, config.run, scoring.shards, lambda: scoring.columns)


def dry_run(config: EvaluateConfig) -> Look:
    """What an evaluation of this configuration would come to; see `dry_run.look_at`."""
    config = _ready(config)
    if config.segmenter.name is not None:
        raise CallError(
            "dry_run=true looks at shards that have masks: call jobs.segment first, and leave out "
            "segmenter.name"
        )
    gated = _gated([comparing(config)] if config.early else [])
    return look_at(config, Scoring(config, gated))


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
    if config.early != (config.baseline is not None):
        raise CallError(
            "early=true and baseline=RUN go together: a run is decided early against a baseline"
        )
    if config.early:
        rules_of(comparing(config))
    check_segmenter(config.segmenter)
    check_workers_and_limits(config.workers, config.limits)
