"""Two models, held against each other: figures and a verdict, as data.

1. Pair their rows, and estimate each column's mean difference over concepts.
2. Decide all gated columns of all comparisons of a call together (`verdict`).
3. Beside it: what else changed, and which concepts and tags did.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from jobs.pipeline.results.comparison.concepts import Tested, concept_changes, tag_changes
from jobs.pipeline.results.comparison.pairing import PRODUCT, Differences, Pairs, Side, make_pairs
from jobs.pipeline.results.comparison.suspicions import (
    Suspicion,
    SuspicionLimits,
    side_figures,
    suspicions_of,
)
from jobs.pipeline.results.comparison.tags import tag_differences
from jobs.pipeline.results.comparison.verdict import (
    SIGN_FLIPS_BELOW,
    Decision,
    Gated,
    Verdict,
    decide,
    effect_size,
    first_level,
    sign_flip_p,
    worst,
)
from jobs.pipeline.results.intervals import Estimate, Interval

LOWER_IS_BETTER = frozenset({"cp.leak"})
"""Columns of which a rise is the bad news."""


@dataclass(frozen=True)
class Rules:
    """How differences are judged."""

    columns: Sequence[str]
    """What is compared; the gated ones are among them."""
    gate: Mapping[str, float]
    """By column, the margin: how much worse still counts as the same."""
    confidence: float = 0.95
    min_concepts: int = 10
    by: Sequence[str] = ()
    pair_by: str = "auto"
    lower_is_better: frozenset[str] = LOWER_IS_BETTER
    limits: SuspicionLimits = field(default_factory=SuspicionLimits)


@dataclass(frozen=True)
class TagFigures:
    """One value of a tag."""

    tag: str
    n: int
    estimate: Estimate


@dataclass(frozen=True)
class Evidence:
    """What there is to judge two models by."""

    baseline: str
    """What the baseline is called."""
    candidate: str
    pairs: Pairs
    estimates: Mapping[str, Estimate]
    """By column, of candidate minus baseline over concepts."""
    concepts: Mapping[str, Tested]
    """By column, each concept of `pairs`."""
    tags: Mapping[str, Mapping[str, tuple[list[TagFigures], Tested]]]
    """By what they are of (`by`) and column."""
    suspicions: Sequence[Suspicion]

    def differences(self, column: str) -> Differences:
        """Of one column, concept by concept."""
        return self.pairs.columns[column]


@dataclass(frozen=True)
class ColumnVerdict:
    """One column of one comparison."""

    estimate: Estimate
    interval: Interval
    """The one that decides, where the column is gated."""
    level: float
    margin: float | None
    """None where it is not gated."""
    verdict: Verdict | None
    reason: str
    """Why it is undecided; else empty."""
    mde: float
    """Minimum detectable effect from zero, 80 % power, at the level of Holm's first step."""
    effect_size: float
    p: float
    """Two-sided, of no difference: the sign-flip permutation's below 30 concepts, else that of
    the interval's own distribution."""
    is_sign_flip: bool
    baseline: float
    """Mean over concepts of the baseline's means, in the pairs."""
    n_pairs: int


@dataclass(frozen=True)
class Comparison:
    """A verdict and what it rests on."""

    evidence: Evidence
    columns: Mapping[str, ColumnVerdict]
    verdict: Verdict

    @property
    def name(self) -> str:
        """Both models."""
        return f"{self.evidence.candidate} against {self.evidence.baseline}"


def gather(
    connection: duckdb.DuckDBPyConnection,
    baseline: Side,
    candidate: Side,
    names: tuple[str, str],
    rules: Rules,
    of_runs: Sequence[Suspicion] = (),
) -> Evidence:
    """Pair two models and estimate what differs.

    Args:
        connection: has the sides' views.
        names: what baseline and candidate are called.
        of_runs: suspicions that are known already.
    """
    pairs = make_pairs(connection, baseline, candidate, rules.columns, rules.pair_by)
    scores = [column for column in rules.columns if column != PRODUCT]
    before = side_figures(connection, baseline, scores)
    after = side_figures(connection, candidate, scores)
    found = [*suspicions_of(before, after, pairs, rules.limits), *of_runs]
    tags: dict[str, dict[str, tuple[list[TagFigures], Tested]]] = {}
    for by in rules.by:
        differences = tag_differences(
            connection, baseline, candidate, rules.columns, pairs.level, by
        )
        tags[by] = {}
        for column, of_column in differences.items():
            tested, estimates = tag_changes(of_column)
            rows = [
                TagFigures(each.tag, each.n, estimate)
                for each, estimate in zip(of_column, estimates, strict=True)
            ]
            tags[by][column] = (rows, tested)
    return Evidence(
        *names,
        pairs,
        {column: pairs.columns[column].estimate() for column in rules.columns},
        {column: concept_changes(pairs.columns[column]) for column in rules.columns},
        tags,
        found,
    )


def judge(evidence: Sequence[Evidence], rules: Rules) -> list[Comparison]:
    """The verdicts, corrected for the number of gated columns of all comparisons together."""
    gated = {
        (number, column): Gated(each.estimates[column], margin, column in rules.lower_is_better)
        for number, each in enumerate(evidence)
        for column, margin in rules.gate.items()
    }
    decided = decide(gated, rules.confidence, rules.min_concepts)
    first = first_level(rules.confidence, len(gated))
    comparisons = []
    for number, each in enumerate(evidence):
        columns = {
            column: _column(each, column, rules, decided.get((number, column)), first)
            for column in rules.columns
        }
        verdicts = [c.verdict for c in columns.values() if c.verdict is not None]
        comparisons.append(Comparison(each, columns, worst(verdicts)))
    return comparisons


def _column(
    evidence: Evidence, column: str, rules: Rules, decision: Decision | None, first: float
) -> ColumnVerdict:
    estimate, differences = evidence.estimates[column], evidence.differences(column)
    means = differences.known
    is_sign_flip = len(means) < SIGN_FLIPS_BELOW
    known = differences.baseline[differences.n > 0]
    return ColumnVerdict(
        estimate=estimate,
        interval=decision.interval if decision else estimate.interval(rules.confidence),
        level=decision.level if decision else rules.confidence,
        margin=rules.gate.get(column),
        verdict=decision.verdict if decision else None,
        reason=decision.reason if decision else "",
        mde=estimate.minimum_detectable_effect(first),
        effect_size=effect_size(means),
        p=sign_flip_p(means) if is_sign_flip else estimate.p_value(),
        is_sign_flip=is_sign_flip,
        baseline=float(known.mean()) if len(known) else math.nan,
        n_pairs=int(differences.n.sum()),
    )
