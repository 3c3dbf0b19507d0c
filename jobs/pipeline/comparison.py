"""Comparing runs: for the command, and for others to call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa

from jobs.pipeline.command.exit_status import EXIT_REGRESSED, EXIT_UNDECIDED
from jobs.pipeline.command.settings import require_in_range, require_one_of, section, setting, table
from jobs.pipeline.errors import CallError
from jobs.pipeline.results.comparison.comparing import (
    LOWER_IS_BETTER,
    Comparison,
    Evidence,
    Rules,
    gather,
    judge,
)
from jobs.pipeline.results.comparison.fingerprints import differing_ways
from jobs.pipeline.results.comparison.opening import (
    ask_both,
    matched_models,
    models_of,
    models_of_one_run,
)
from jobs.pipeline.results.comparison.pairing import AUTO, LEVELS, PRODUCT, Side
from jobs.pipeline.results.comparison.suspicions import (
    LEAK,
    Suspicion,
    SuspicionLimits,
    suspicions_of_runs,
)
from jobs.pipeline.results.comparison.tags import tag_expression
from jobs.pipeline.results.comparison.verdict import Verdict, worst
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.early import EarlyEnd, early_end
from jobs.pipeline.run.scores import Scores
from jobs.pipeline.run.stale import open_counted
from jobs.pipeline.storage.filesystem import absolute
from jobs.pipeline.storage.redaction import redact

MOST = 1e9
"""Of a margin or a limit: what is more is a slip of the hand, and prints as no number."""

EXITS = {Verdict.REGRESSED: EXIT_REGRESSED, Verdict.UNDECIDED: EXIT_UNDECIDED}
"""The exit statuses of verdicts that a scheduler should stop at."""

GATE = {"cp": 0.005, "pf": 0.005}


@dataclass
class CompareConfig:
    baseline: str = setting(help="the run that is held to be good")
    candidate: list[str] = setting([], "runs to judge; none compares all models of the baseline")
    baseline_model: str | None = setting(None, "its model; null is its only one, or pairs by name")
    candidate_model: str | None = setting(None, "as baseline_model")
    out: str | None = setting(None, "directory for compare.json, compare.md and junit.xml")
    columns: list[str] = setting(["cp", "pf"], "score columns to compare")
    gate: dict[str, float | None] = table(
        "by column, how much worse still counts as the same; null takes it out of the gate",
        GATE,
    )
    lower_is_better: list[str] = setting(sorted(LOWER_IS_BETTER), "columns that should not rise")
    confidence: float = setting(0.95, "of all verdicts of the call together, 0.5 to 0.9999")
    min_concepts: int = setting(10, "with fewer the data cannot decide")
    by: list[str] = setting([], "tags to look at: prompt_id, prompt, subject, seed, extra.NAME")
    pair_by: str = setting(AUTO, "seed, prompt or concept; auto is the finest that makes pairs")
    allow_different: bool = setting(False, "compare runs that were scored in different ways")
    limits: SuspicionLimits = section(SuspicionLimits)


@dataclass(frozen=True)
class Judged:
    """What came of a call."""

    comparisons: list[Comparison]
    rules: Rules
    unmatched: Mapping[str, list[str]] = field(default_factory=dict)
    """Models that only the baseline has, and only a candidate; they are not compared."""

    @property
    def verdict(self) -> Verdict:
        """Of all comparisons together."""
        return worst([each.verdict for each in self.comparisons])


def compare(config: CompareConfig) -> Judged:
    """Hold candidates against a baseline.

    Raises:
        CallError: the call is wrong, or runs were scored in different ways.
        StorageError: a run cannot be read.
    """
    rules = rules_of(config)
    opened = {
        run: open_counted([run]) for run in dict.fromkeys([config.baseline, *config.candidate])
    }
    _check_columns(opened, rules)
    described = {run: RunDirectory(run).read_description() for run in opened}
    ends = {run: _early_end(run, described[run]) for run in opened}
    _refuse_early(config, ends)
    evidence: list[Evidence] = []
    unmatched: dict[str, list[str]] = {"baseline": [], "candidate": []}
    for candidate in config.candidate or [config.baseline]:
        before, after, end = opened[config.baseline], opened[candidate], ends[candidate]
        if end is not None:
            after = _decided_on(after, end)
        different = differing_ways(before.parts, after.parts, rules.columns)
        if different and not config.allow_different:
            raise CallError(
                f"candidate={redact(candidate)}: scored in another way than the baseline: "
                f"{'; '.join(different)}. allow_different=true compares them nevertheless"
            )
        of_runs = [Suspicion("fingerprint", text) for text in different]
        of_runs += suspicions_of_runs(described[config.baseline], described[candidate])
        ask = partial(_gather_run, config, candidate, rules, of_runs, unmatched)
        concepts = None if end is None else end.concepts
        evidence += ask_both(_narrowed(before, rules), _narrowed(after, rules), ask, concepts)
    return Judged(judge(evidence, rules), rules, unmatched)


def _early_end(run: str, described: Mapping[str, Any] | None) -> EarlyEnd | None:
    try:
        return early_end(described)
    except ValueError as error:
        raise CallError(f"run={redact(run)}: run.json {error}") from error


def _refuse_early(config: CompareConfig, ends: Mapping[str, EarlyEnd | None]) -> None:
    """What was not scored to the end is nothing to hold others against."""
    end = ends[config.baseline]
    if end is not None:
        raise CallError(
            f"baseline={redact(config.baseline)}: {end}, so it is no baseline; the call that made "
            "it, with early=false, goes on to the end"
        )


def _decided_on(scores: Scores, end: EarlyEnd) -> Scores:
    """The parts that a run had looked at when it stopped early: the verdict is about these.

    Raises:
        CallError: one of them is gone.
    """
    shards = set(end.shards)
    if missing := shards - {part.shard_id for part in scores.parts}:
        raise CallError(
            f"candidate={scores.parts[0].run}: {end}, and its part {min(missing)} is gone since; "
            "call jobs.evaluate again"
        )
    return scores.without(part for part in scores.parts if part.shard_id not in shards)


def rules_of(config: CompareConfig) -> Rules:
    """How a call's differences are judged.

    Raises:
        CallError: a value out of range.
    """
    gate = {column: margin for column, margin in config.gate.items() if margin is not None}
    require_in_range(
        ("confidence", config.confidence, 0.5, 0.9999),
        ("min_concepts", config.min_concepts, 2, 10**9),
        *((f"gate.{column}", margin, 0.0, MOST) for column, margin in gate.items()),
        *((f"limits.{name}", limit, 0.0, MOST) for name, limit in vars(config.limits).items()),
    )
    for column in config.lower_is_better:
        if column not in (*config.columns, *gate, *LOWER_IS_BETTER):
            raise CallError(
                f"lower_is_better={column}: it is none of the columns that are compared"
            )
    require_one_of("pair_by", config.pair_by, (AUTO, *LEVELS))
    for by in config.by:
        tag_expression(by)
    columns = list(dict.fromkeys([*config.columns, *gate]))
    if {"cp", "pf"} <= set(columns) and PRODUCT not in columns:
        columns.insert(max(columns.index("cp"), columns.index("pf")) + 1, PRODUCT)
    return Rules(
        columns=columns,
        gate=gate,
        confidence=config.confidence,
        min_concepts=config.min_concepts,
        by=config.by,
        pair_by=config.pair_by,
        lower_is_better=frozenset(config.lower_is_better),
        limits=config.limits,
    )


def _check_columns(opened: Mapping[str, Scores], rules: Rules) -> None:
    for run, scores in opened.items():
        known = [c for c in scores.score_columns if scores.n_parts_with(c)]
        for column in rules.columns:
            if column not in known and column != PRODUCT and not _is_number(scores, column):
                raise CallError(
                    f"run={redact(run)}: no score column {column!r}; known: "
                    f"{', '.join(known) or 'none'}"
                )


def _is_number(scores: Scores, column: str) -> bool:
    """Whether it can be compared, though it is no score: as `fg_fraction` and `n_patches`."""
    if not scores.n_parts_with(column):
        return False
    kind = scores.available.field(column).type
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _narrowed(scores: Scores, rules: Rules) -> Scores:
    """Of the rows only what is asked for."""
    tags = [by for by in rules.by if not by.startswith("extra.")]
    extra = ["extra"] if len(tags) < len(rules.by) else []
    needed = ["prompt_id", "prompt", "seed", "fg_fraction", LEAK, "cp", "pf", *tags, *extra]
    columns = [*needed, *(column for column in rules.columns if column != PRODUCT)]
    return scores.select(dict.fromkeys(columns))


def _gather_run(
    config: CompareConfig,
    candidate: str,
    rules: Rules,
    of_runs: Sequence[Suspicion],
    unmatched: dict[str, list[str]],
    connection: duckdb.DuckDBPyConnection,
) -> list[Evidence]:
    """The evidence of each pair of models of two runs."""
    before, after = (models_of(connection, view) for view in ("baseline", "candidate"))
    is_of_one_run = not config.candidate
    if is_of_one_run:
        pairs = models_of_one_run(before, config.baseline_model, config.candidate_model)
    else:
        pairs = matched_models(before, after, config.baseline_model, config.candidate_model)
        one, other = (absolute(run).rstrip("/") for run in (config.baseline, candidate))
        if one == other and len(before) > 1:
            _require_meant(pairs, config)
    if not is_of_one_run and config.baseline_model is None and config.candidate_model is None:
        used = {name for pair in pairs for name in pair}
        for side, models in (("baseline", before), ("candidate", after)):
            new = [str(model) for model in models if model not in used]
            unmatched[side] += [name for name in new if name not in unmatched[side]]
    return [
        gather(
            connection,
            Side("baseline", old),
            Side("candidate", new),
            _names(config, candidate, old, new),
            rules,
            of_runs,
        )
        for old, new in pairs
    ]


def _require_meant(pairs: Sequence[tuple[str, str]], config: CompareConfig) -> None:
    """A run may be held against itself, to see that it is the same; one model of it only by name.

    Raises:
        CallError: one model is named, and would be taken for the other as well.
    """
    is_half_named = (config.baseline_model is None) != (config.candidate_model is None)
    if is_half_named and any(old == new for old, new in pairs):
        raise CallError(
            f"candidate={redact(config.baseline)}: {pairs[0][0]} would be compared with itself; "
            "leave candidate= out to compare the models of one run, or name both"
        )


def _names(config: CompareConfig, candidate: str, old: str, new: str) -> tuple[str, str]:
    """What the two are called: by their models, and by their runs where these are the same."""
    is_clear = old != new and len(config.candidate) < 2
    if is_clear:
        return old, new
    runs = (redact(run).rstrip("/").rpartition("/")[2] for run in (config.baseline, candidate))
    first, second = runs
    return f"{first}/{old}", f"{second}/{new}"
