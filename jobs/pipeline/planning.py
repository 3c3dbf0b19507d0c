"""How large a comparison has to be: for the command, and for others to call.

From two runs the variances of their paired differences are estimated, which is all that matters.
One run alone tells how much seeds scatter; what concepts and prompts add is then taken to be the
same for the next model, and to cancel. A pair of runs says whether it does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import duckdb
import numpy as np

from jobs.pipeline.command.settings import require_in_range, setting
from jobs.pipeline.errors import CallError
from jobs.pipeline.results.comparison.fingerprints import differing_ways
from jobs.pipeline.results.comparison.opening import ask_both, matched_models, models_of
from jobs.pipeline.results.comparison.pairing import Side, difference_sums, make_pairs, score_sums
from jobs.pipeline.results.comparison.verdict import first_level
from jobs.pipeline.results.components import Components, Prompts, components_of
from jobs.pipeline.results.intervals import Estimate
from jobs.pipeline.results.sample_size import (
    Design,
    Prices,
    designs_for,
    detectable,
    proposed_margin,
)
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.record import workers_by_pass
from jobs.pipeline.run.scores import Scores
from jobs.pipeline.run.stale import open_counted
from jobs.pipeline.storage.redaction import redact

NEEDED = ("prompt_id", "prompt", "seed")


@dataclass
class PlanConfig:
    run: str = setting(help="a run of the kind that is to be compared")
    baseline: str | None = setting(None, "another; best of the same model with other seeds (A/A)")
    model: str | None = setting(None, "the model of `run`; null is its only one")
    baseline_model: str | None = setting(None, "the model of `baseline`")
    out: str | None = setting(None, "directory for plan.json and plan.svg")
    effect: float = setting(0.01, "the difference that should be seen")
    columns: list[str] = setting(["cp", "pf"], "the score columns that will be gated")
    confidence: float = setting(0.95, "of the comparison, as in jobs.compare")
    power: float = setting(0.8, "the chance to see the effect, 0.5 to 0.99")
    prompts: list[int] = setting([], "numbers of prompts a concept to plan with; none: as here")
    seeds: list[int] = setting([], "numbers of seeds a prompt to plan with; none: as here")
    dollars_per_gpu_hour: float | None = setting(None, "price of a worker's GPU; null: no dollars")


@dataclass(frozen=True)
class ColumnPlan:
    """What one column takes."""

    components: Components | None
    """Of the paired differences; None where the rows do not tell: no two differ, or one run has no
    two samples of a concept that do. Where pairs are means over other
    prompts or seeds, all is the concept's."""
    of_scores: Components | None
    """Of one run's scores; None where two runs are given."""
    now: float
    """What a comparison of this size would see."""
    designs: list[Design]
    """That see the effect, the fewest images first."""
    estimate: Estimate | None
    """Of the two runs' difference."""
    margin: float | None
    """That an A/A pair proposes; None of one run, and where the two differ."""


@dataclass(frozen=True)
class Plan:
    """What a call found."""

    size: Design
    """Of the run, its prompts and seeds on average."""
    paired_by: str | None
    """None of one run."""
    level: float
    """Of the intervals that will decide first."""
    effect: float
    power: float
    columns: Mapping[str, ColumnPlan]
    prices: Prices

    def document(self) -> dict[str, Any]:
        """What `--json` prints; null where something is not known."""
        return {
            "method": "REML",
            "effect": self.effect,
            "power": self.power,
            "level": self.level,
            "paired_by": self.paired_by,
            "run": vars(self.size) | {"images": self.size.images},
            "gpu_seconds_per_image": self.prices.gpu_seconds_per_image,
            "margin": {
                name: each.margin for name, each in self.columns.items() if each.margin is not None
            },
            **{name: self._column(each) for name, each in self.columns.items()},
        }

    def _column(self, column: ColumnPlan) -> dict[str, Any]:
        delta = column.estimate.mean if column.estimate else math.nan
        return {
            "variance": vars(column.components) if column.components else None,
            "variance_of_scores": vars(column.of_scores) if column.of_scores else None,
            "mde": column.now if math.isfinite(column.now) else None,
            "delta": delta if math.isfinite(delta) else None,
            "margin": column.margin,
            "designs": [
                vars(design)
                | {
                    "images": design.images,
                    "gpu_seconds": self.prices.gpu_seconds(design.images),
                    "dollars": self.prices.dollars(design.images),
                }
                for design in column.designs
            ],
        }


def plan(config: PlanConfig) -> Plan:
    """Estimate the variances, and what follows from them.

    Raises:
        CallError: the call is wrong.
        StorageError: a run cannot be read.
    """
    _check(config)
    runs = [config.run if config.baseline is None else config.baseline, config.run]
    opened = {run: open_counted([run]) for run in dict.fromkeys(runs)}
    for run, scores in opened.items():
        known = [c for c in scores.score_columns if scores.n_parts_with(c)]
        for column in config.columns:
            if column not in known:
                raise CallError(
                    f"columns={column}: no such score column in {redact(run)}; known: "
                    f"{', '.join(known)}"
                )
    before, after = (_narrowed(opened[run], config.columns) for run in runs)
    different = differing_ways(before.parts, after.parts, config.columns)
    if different and config.baseline is not None:
        raise CallError(
            f"baseline={redact(runs[0])}: scored in another way than run=: {'; '.join(different)}"
        )
    rate = _gpu_seconds_per_image(RunDirectory(config.run).read_description())
    prices = Prices(rate, config.dollars_per_gpu_hour)
    return ask_both(before, after, partial(_plan, config, prices))


def _check(config: PlanConfig) -> None:
    require_in_range(
        ("effect", config.effect, 1e-9, 1e9),
        ("dollars_per_gpu_hour", config.dollars_per_gpu_hour or 0.0, 0.0, 1e9),
        ("confidence", config.confidence, 0.5, 0.9999),
        ("power", config.power, 0.5, 0.99),
        *(("prompts", each, 1, 10**6) for each in config.prompts),
        *(("seeds", each, 1, 10**6) for each in config.seeds),
    )
    if not config.columns:
        raise CallError("columns= is empty: name a score column")


def _narrowed(scores: Scores, columns: Sequence[str]) -> Scores:
    return scores.select(dict.fromkeys([*NEEDED, *columns]))


def _plan(config: PlanConfig, prices: Prices, connection: duckdb.DuckDBPyConnection) -> Plan:
    before, after = (models_of(connection, view) for view in ("baseline", "candidate"))
    is_pair = config.baseline is not None or config.baseline_model is not None
    if is_pair:
        pairs = matched_models(before, after, config.baseline_model, config.model)
        if len(pairs) > 1:
            raise CallError("the runs have several models: name model= and baseline_model=")
        [(old, new)] = pairs
    else:
        if config.model is None and len(after) > 1:
            raise CallError(f"model= is required: the run has {', '.join(after)}")
        if not after:
            raise CallError(f"run={redact(config.run)}: no row of it names a model")
        new = old = config.model or after[0]
        if new not in after:
            raise CallError(f"model={new}: the run has {', '.join(after)}")
    level = first_level(config.confidence, len(config.columns))
    sides = Side("baseline", old), Side("candidate", new)
    sums, estimates, paired_by = score_sums(connection, sides[1], config.columns), {}, None
    if not len(sums["n"]):
        raise CallError(f"model={new}: it has no row that is ok")
    size = _size(sums)
    if is_pair:
        found = make_pairs(connection, *sides, config.columns)
        paired_by, sums = found.level, difference_sums(connection, config.columns)
        estimates = {name: found.columns[name].estimate() for name in config.columns}
        if not found.n_pairs:
            raise CallError("the two runs have no concept in common")
    columns = {}
    for i, column in enumerate(config.columns):
        components = components_of(_prompts(sums, i))
        if components and paired_by not in (None, "seed"):
            # Pairs of means: how these fall with more prompts and seeds is not told by them.
            pairs_size = _size(sums)
            spread = components.error_squared(1, pairs_size.prompts, pairs_size.seeds)
            components = Components(spread, 0.0, 0.0)
        of_scores = None if is_pair else components
        if of_scores is not None:
            # Of a difference of two models that have concepts and prompts in common.
            # No scatter of seeds is none that was seen: of one sample a concept nothing is told.
            components = (
                replace(of_scores, concept=0.0, prompt=0.0, seed=2 * of_scores.seed)
                if of_scores.seed > 0
                else None
            )
        columns[column] = _column_plan(
            config, components, of_scores, estimates.get(column), size, level, paired_by
        )
    return Plan(size, paired_by, level, config.effect, config.power, columns, prices)


def _column_plan(
    config: PlanConfig,
    components: Components | None,
    of_scores: Components | None,
    estimate: Estimate | None,
    size: Design,
    level: float,
    paired_by: str | None,
) -> ColumnPlan:
    if components is None:
        return ColumnPlan(None, of_scores, math.nan, [], estimate, None)
    prompts = config.prompts or sorted({1, 2, 4, 8, size.prompts})
    seeds = config.seeds or sorted({1, 2, 4, size.seeds})
    if paired_by not in (None, "seed"):
        prompts, seeds = [size.prompts], [size.seeds]
    designs = designs_for(components, config.effect, level, prompts, seeds, power=config.power)
    now = detectable(components, size, level, config.power)
    margin = None
    if estimate is not None and estimate.concepts > 1:
        interval = estimate.interval(level)
        if interval.low <= 0 <= interval.high:
            margin = proposed_margin(estimate.minimum_detectable_effect(level))
    return ColumnPlan(components, of_scores, now, designs, estimate, margin)


def _prompts(sums: Mapping[str, np.ndarray], i: int) -> Prompts:
    """What is known of each prompt that has a value in column i."""
    has_value = sums[f"n_{i}"] > 0
    counts, totals = sums[f"n_{i}"][has_value], sums[f"s_{i}"][has_value]
    means = totals / counts
    within = np.maximum(0, sums[f"q_{i}"][has_value] - counts * means**2)
    _, concept = np.unique(sums["concept"][has_value], return_inverse=True)
    return Prompts(concept, counts, means, within)


def _size(sums: Mapping[str, np.ndarray]) -> Design:
    """Concepts, and prompts and seeds on average."""
    concepts, prompts = len(np.unique(sums["concept"])), len(sums["n"])
    seeds = round(float(sums["n"].sum()) / prompts)
    return Design(concepts, max(1, round(prompts / concepts)), max(1, seeds))


def _gpu_seconds_per_image(described: Mapping[str, Any] | None) -> float | None:
    """What a worker's device was held for, an image, while it had one to score; in all passes."""
    fields = ("samples", "waiting", "scoring")
    of_passes = []
    for workers in workers_by_pass(described):
        rows = [[each.get(name, 0) for name in fields] for each in workers]
        if not all(isinstance(value, int | float) and value >= 0 for row in rows for value in row):
            return None
        seconds = sum(waiting + scoring for samples, waiting, scoring in rows if samples)
        n_samples = sum(samples for samples, _, _ in rows)
        if n_samples:
            of_passes.append(seconds / n_samples)
    return sum(of_passes) if of_passes else None
