"""Comparisons as one JSON document: null where a figure is undefined, never NaN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.pipeline.results.comparison.comparing import ColumnVerdict, Comparison
from jobs.pipeline.results.comparison.verdict import worst
from jobs.pipeline.results.numbers import number


def document(
    comparisons: Sequence[Comparison], confidence: float, unmatched: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """What `--json` prints: of one comparison all that is known; of several a list of them.

    Args:
        confidence: of all verdicts together.
        unmatched: models that only the baseline has, and only the candidate.
    """
    if len(comparisons) == 1:
        found = _comparison(comparisons[0], confidence)
    else:
        found = {
            "verdict": worst([each.verdict for each in comparisons]),
            "comparisons": [_comparison(each, confidence) for each in comparisons],
        }
    return {**found, "unmatched_models": {side: list(names) for side, names in unmatched.items()}}


def _comparison(comparison: Comparison, confidence: float) -> dict[str, Any]:
    evidence = comparison.evidence
    only_baseline, only_candidate = evidence.pairs.n_unpaired
    return {
        "verdict": comparison.verdict,
        "baseline": evidence.baseline,
        "candidate": evidence.candidate,
        **{column: _column(found) for column, found in comparison.columns.items()},
        "n_pairs": evidence.pairs.n_pairs,
        "n_concepts": len(evidence.pairs.concepts),
        "n_unpaired": {"baseline": only_baseline, "candidate": only_candidate},
        "paired_by": evidence.pairs.level,
        "suspicions": [each.document() for each in evidence.suspicions],
        "concepts": _concepts(comparison, 1 - confidence),
        "by": {by: _tags(comparison, by, confidence) for by in evidence.tags},
    }


def _column(found: ColumnVerdict) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "delta": number(found.estimate.mean),
        "ci": [number(found.interval.low), number(found.interval.high)],
        "level": found.level,
        "margin": found.margin,
        "mde": number(found.mde),
        "p": number(found.p),
        "p_of": "sign-flip" if found.is_sign_flip else "interval",
        "effect_size": number(found.effect_size),
        "standard_error": number(found.estimate.standard_error),
        "baseline": number(found.baseline),
        "n_pairs": found.n_pairs,
        "n_concepts": found.estimate.concepts,
        "reason": found.reason or None,
    }


def _concepts(comparison: Comparison, q: float) -> list[dict[str, Any]]:
    evidence = comparison.evidence
    rows: list[dict[str, Any]] = [
        {"concept": concept, "n_pairs": int(n)}
        for concept, n in zip(evidence.pairs.concepts, evidence.pairs.n, strict=True)
    ]
    for column, tested in evidence.concepts.items():
        for row, mean, p, adjusted, is_named in zip(
            rows, tested.mean, tested.p, tested.p_adjusted, tested.named(q), strict=True
        ):
            row[column] = {
                "delta": number(mean),
                "p": number(p),
                "p_adjusted": number(adjusted),
                "changed": bool(is_named),
            }
    return rows


def _tags(comparison: Comparison, by: str, confidence: float) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for column, (tags, tested) in comparison.evidence.tags[by].items():
        named = tested.named(1 - confidence)
        for place, tag in enumerate(tags):
            interval = tag.estimate.interval(confidence)
            rows.setdefault(tag.tag, {"tag": tag.tag})[column] = {
                "n_pairs": tag.n,
                "n_concepts": tag.estimate.concepts,
                "delta": number(tag.estimate.mean),
                "ci": [number(interval.low), number(interval.high)],
                "p": number(float(tested.p[place])),
                "p_adjusted": number(float(tested.p_adjusted[place])),
                "changed": bool(named[place]),
            }
    return list(rows.values())
