"""What changed against the baseline: the verdicts of `jobs.compare`, drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.pages.charts.scale import Scale, Tick, scale_of
from jobs.pages.names import link_to, shown, title
from jobs.pages.settings import ReportConfig
from jobs.pipeline.comparison import GATE, CompareConfig, Judged, compare
from jobs.pipeline.errors import CallError
from jobs.pipeline.results.comparison import wording
from jobs.pipeline.results.comparison.comparing import Comparison
from jobs.pipeline.results.comparison.document import document
from jobs.pipeline.results.numbers import ABSENT, plain, signed
from jobs.pipeline.run.scores import Scores

WIDTH, LINE = 210, 26
MOST_CONCEPTS = 12
"""Of each direction, in the table of a comparison."""
MOST_IN_DATA = 2_500
"""Concepts of all comparisons in the page's data; of more, those that changed most."""
MOST_SHOWN = 20
"""Comparisons that are drawn."""


@dataclass(frozen=True)
class Delta:
    """One column of one comparison."""

    title: str
    baseline: str
    change: str
    interval: str
    margin: str
    mde: str
    p: str
    verdict: str
    x: float | None
    ends: tuple[float, float] | None
    margin_x: float | None


@dataclass(frozen=True)
class ConceptChange:
    """One concept's change."""

    name: str
    link: str
    column: str
    change: str
    is_named: bool


@dataclass(frozen=True)
class Change:
    """One comparison."""

    name: str
    verdict: str
    sentence: str
    """What the verdict rests on."""
    deltas: list[Delta]
    zero: float
    ticks: list[Tick]
    height: int
    suspicions: list[str]
    notes: list[str]
    dropped: list[ConceptChange]
    rose: list[ConceptChange]


@dataclass(frozen=True)
class Changes:
    """All of them."""

    verdict: str
    shown: list[Change]
    n_left_out: int
    unmatched: list[str]


def compared(config: ReportConfig, scores: Scores) -> Judged:
    """The comparison that a report asks for, of what its runs have of CP and PF.

    Raises:
        CallError, StorageError: as `compare`.
    """
    assert config.baseline is not None
    columns = [column for column in GATE if scores.n_parts_with(column)]
    if not columns:
        raise CallError("baseline= is compared by cp and pf, and the run has neither")
    return compare(
        CompareConfig(
            baseline=config.baseline,
            candidate=config.run,
            baseline_model=config.baseline_model,
            columns=columns,
            gate={c: margin if c in columns else None for c, margin in GATE.items()},
            allow_different=config.allow_different,
        )
    )


def changes(judged: Judged) -> Changes:
    """As the page shows them; the worst first."""
    order = {"regressed": 0, "undecided": 1, "improved": 2, "same": 3}
    ranked = sorted(judged.comparisons, key=lambda each: order[each.verdict])
    unmatched = [
        f"Only in the {side}, so not compared: {', '.join(map(shown, models))}."
        for side, models in judged.unmatched.items()
        if models
    ]
    return Changes(
        judged.verdict,
        [_change(each, judged.rules.confidence) for each in ranked[:MOST_SHOWN]],
        max(0, len(ranked) - MOST_SHOWN),
        unmatched,
    )


def data_of(judged: Judged) -> dict[str, Any]:
    """As `compare.json` has it; of very many concepts those that changed most."""
    found = document(judged.comparisons, judged.rules.confidence, judged.unmatched)
    several = found.get("comparisons", [found])
    room = MOST_IN_DATA // max(1, len(several))
    for each in several:
        rows = each["concepts"]
        if len(rows) > room:
            rows.sort(key=_largest, reverse=True)
            each["concepts"] = rows[:room]
            each["n_concepts_left_out"] = len(rows) - room
    return found


def _largest(row: dict[str, Any]) -> float:
    deltas = [each["delta"] for each in row.values() if isinstance(each, dict)]
    return max((abs(delta) for delta in deltas if delta is not None), default=0.0)


def _change(comparison: Comparison, confidence: float) -> Change:
    columns = list(comparison.columns.values())
    ends = [0.0]
    for found in columns:
        ends += [found.estimate.mean, found.interval.low, found.interval.high]
        ends += [] if found.margin is None else [-found.margin]
    scale = scale_of(ends, 6, WIDTH - 6, 0.05)
    notes = [
        *wording.reasons(comparison),
        *wording.changed_tags(comparison, confidence),
        wording.counts(comparison),
    ]
    return Change(
        shown(comparison.name),
        comparison.verdict,
        _sentence(comparison),
        [_delta(column, comparison, scale) for column in comparison.columns],
        scale.at(0),
        scale.ticks(4),
        LINE * len(columns),
        [each.text for each in comparison.evidence.suspicions],
        notes,
        *_concepts(comparison, confidence),
    )


def _sentence(comparison: Comparison) -> str:
    """The headline, without what stands above it."""
    said = wording.headline(comparison).removeprefix(f"{comparison.name}: {comparison.verdict}, ")
    return said[:1].upper() + said[1:]


def _delta(column: str, comparison: Comparison, scale: Scale) -> Delta:
    found = comparison.columns[column]
    mean, low, high = found.estimate.mean, found.interval.low, found.interval.high
    margin = found.margin
    return Delta(
        title(column),
        plain(found.baseline),
        signed(mean),
        wording.interval(found),
        ABSENT if margin is None else f"{margin:g}",
        plain(found.mde),
        wording.p_value(found),
        "" if found.verdict is None else str(found.verdict),
        scale.at(mean) if math.isfinite(mean) else None,
        (scale.at(low), scale.at(high)) if math.isfinite(low) else None,
        None if margin is None else scale.at(-margin),
    )


def _concepts(
    comparison: Comparison, confidence: float
) -> tuple[list[ConceptChange], list[ConceptChange]]:
    """Those that dropped most, and those that rose most, in any gated column."""
    evidence = comparison.evidence
    found: list[tuple[float, ConceptChange]] = []
    for column, verdict in comparison.columns.items():
        if verdict.margin is None:
            continue
        tested = evidence.concepts[column]
        is_named = tested.named(1 - confidence)
        for place in np.flatnonzero(np.isfinite(tested.mean)):
            name, mean = evidence.pairs.concepts[place], float(tested.mean[place])
            found.append(
                (
                    mean,
                    ConceptChange(
                        shown(name),
                        link_to("concept", name),
                        title(column),
                        signed(mean),
                        bool(is_named[place]),
                    ),
                )
            )
    found.sort(key=lambda each: each[0])
    return _first(found, -1), _first(list(reversed(found)), 1)


def _first(found: Sequence[tuple[float, ConceptChange]], sign: int) -> list[ConceptChange]:
    return [change for mean, change in found if mean * sign > 0][:MOST_CONCEPTS]
