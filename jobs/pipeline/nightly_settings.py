"""What a night is asked for, and what it asks of scoring and comparing in turn."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from jobs.pipeline.command.settings import section, setting, table
from jobs.pipeline.comparison import GATE, CompareConfig, rules_of
from jobs.pipeline.errors import CallError
from jobs.pipeline.evaluation import EvaluateConfig, ScoringConfig
from jobs.pipeline.evaluation import check as check_evaluation
from jobs.pipeline.nights.home import Home
from jobs.pipeline.nights.inbox import Inbox
from jobs.pipeline.nights.trackers import TRACKERS, TrackerConfig, trackers_asked
from jobs.pipeline.nights.webhook import WebhookConfig, check_webhook
from jobs.pipeline.results.comparison.comparing import LOWER_IS_BETTER, Rules
from jobs.pipeline.results.comparison.pairing import AUTO
from jobs.pipeline.results.comparison.suspicions import SuspicionLimits
from jobs.pipeline.storage.filesystem import refuse_for_results


@dataclass
class _NightsConfig:
    inbox: str = setting(
        help="where checkpoints come, as URL/{checkpoint}/*.tar; complete with _SUCCESS beside them"
    )
    home: str = setting(help="directory of runs/, history.parquet, and segmented/")
    baseline: str | None = setting(None, "a run that every checkpoint is held against: the pin")
    baseline_model: str | None = setting(None, "its model; null is its only one")
    out: str | None = setting(None, "directory for this call's night.md, night.json, junit.xml")
    columns: list[str] = setting(["cp", "pf"], "score columns to compare")
    gate: dict[str, float | None] = table(
        "by column, how much worse still counts as the same; null takes it out of the gate", GATE
    )
    lower_is_better: list[str] = setting(sorted(LOWER_IS_BETTER), "columns that should not rise")
    confidence: float = setting(Rules.confidence, "of the verdicts of one comparison together")
    min_concepts: int = setting(Rules.min_concepts, "with fewer the data cannot decide")
    pair_by: str = setting(AUTO, "seed, prompt or concept; auto is the finest that makes pairs")
    allow_different: bool = setting(False, "compare runs that were scored in different ways")
    early: bool = setting(
        False, "look after each shard, and stop a checkpoint's night when its verdict stands"
    )
    suspicions: SuspicionLimits = section(SuspicionLimits)
    aa_every: int | None = setting(
        7, "of so many checkpoints one is held against itself, for the floor; null: none"
    )
    keep: int | None = setting(
        None, "runs to keep, the latest, beside the last that passed; null keeps all"
    )
    webhook: WebhookConfig = section(WebhookConfig)
    track: list[str] = setting([], f"trackers to tell: {', '.join(TRACKERS)}; each is an extra")
    tracker: TrackerConfig = section(TrackerConfig)


@dataclass
class NightlyConfig(ScoringConfig, _NightsConfig):
    """Nights, and how their checkpoints are scored; fields of the last base come first."""


def check(config: NightlyConfig) -> Inbox:
    """What types alone cannot say of the settings; where checkpoints come.

    Raises:
        CallError: a value out of range.
    """
    refuse_for_results(config.home, "home")
    if config.out is not None:
        refuse_for_results(config.out, "out")
    inbox = Inbox.parse(config.inbox)
    for name, value in (("aa_every", config.aa_every), ("keep", config.keep)):
        if value is not None and value < 1:
            raise CallError(f"{name}={value}: expected 1 or more, or null")
    if config.segmenter.out is not None:
        raise CallError("segmenter.out: masks go to HOME/segmented; leave it out")
    check_webhook(config.webhook)
    trackers_asked(config.track, config.tracker)
    rules = rules_of(comparing(config, config.home, config.home))
    if not rules.gate:
        raise CallError("gate: no column is left in it, so every checkpoint would be undecided")
    check_evaluation(evaluating(config, Home(config.home), "checkpoint", ""))
    return inbox


def evaluating(config: NightlyConfig, home: Home, name: str, samples: str) -> EvaluateConfig:
    """How one checkpoint is scored."""
    how = {each.name: getattr(config, each.name) for each in fields(ScoringConfig)}
    if config.segmenter.name is not None:
        how["segmenter"] = replace(config.segmenter, out=home.segmented(name))
    return EvaluateConfig(samples=[samples], run=home.run(name), **how)


def comparing(
    config: NightlyConfig, baseline: str, candidate: str, model: str | None = None
) -> CompareConfig:
    """How it is held against another run."""
    return CompareConfig(
        baseline=baseline,
        candidate=[candidate],
        baseline_model=model,
        columns=config.columns,
        gate=config.gate,
        lower_is_better=config.lower_is_better,
        confidence=config.confidence,
        min_concepts=config.min_concepts,
        pair_by=config.pair_by,
        allow_different=config.allow_different,
        limits=config.suspicions,
    )
