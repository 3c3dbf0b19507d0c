"""What all forms of a comparison say in the same words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from jobs.pipeline.results import numbers
from jobs.pipeline.results.comparison.comparing import ColumnVerdict, Comparison
from jobs.pipeline.results.comparison.pairing import PRODUCT
from jobs.pipeline.results.comparison.verdict import Verdict
from jobs.pipeline.results.numbers import ABSENT, signed

TITLES = {"cp": "CP", "pf": "PF", PRODUCT: "CP×PF"}  # noqa: RUF001 - a product
MOST_NAMED = 5
SENTENCES = {
    Verdict.IMPROVED: "better than the baseline",
    Verdict.SAME: "not worse than the margin allows",
    Verdict.UNDECIDED: "the data cannot decide",
    Verdict.REGRESSED: "worse than the margin allows",
}


def title(column: str) -> str:
    """What a column is called in a table."""
    return TITLES.get(column, column)


def interval(found: ColumnVerdict) -> str:
    """Its ends, and its level where that is not 95 %."""
    if not math.isfinite(found.interval.low):
        return ABSENT
    level = "" if found.level == 0.95 else f" ({100 * found.level:.4g} %)"
    return f"[{signed(found.interval.low)}, {signed(found.interval.high)}]{level}"


def p_value(found: ColumnVerdict) -> str:
    """With a star where it is the permutation's."""
    shown = numbers.p_value(found.p)
    return f"{shown}*" if found.is_sign_flip and math.isfinite(found.p) else shown


def headline(comparison: Comparison) -> str:
    """The verdict in one sentence."""
    said = f"{comparison.name}: {comparison.verdict}, {SENTENCES[comparison.verdict]}"
    because = [
        f"{title(column)} {signed(found.estimate.mean)}, margin {found.margin:g}"
        for column, found in comparison.columns.items()
        if found.verdict == comparison.verdict and found.margin is not None
    ]
    return f"{said} ({'; '.join(because)})" if because else said


def reasons(comparison: Comparison) -> list[str]:
    """Why columns are undecided, and what would help."""
    if all(found.margin is None for found in comparison.columns.values()):
        return ["no column has a margin, so nothing is decided: gate= names those that have"]
    return [
        f"{title(column)} is undecided: {found.reason}"
        for column, found in comparison.columns.items()
        if found.reason
    ]


def counts(comparison: Comparison) -> str:
    """What was compared."""
    pairs = comparison.evidence.pairs
    before, after = pairs.n_unpaired
    said = f"{pairs.n_pairs:,} pairs of {len(pairs.concepts):,} concepts"
    fewer = [
        f"{title(column)} of {found.n_pairs:,}"
        for column, found in comparison.columns.items()
        if found.n_pairs < pairs.n_pairs
    ]
    if fewer:
        said += f" (both have a value: {', '.join(fewer)})"
    if pairs.level != "seed":
        said += f", paired by {pairs.level}"
    if before or after:
        said += f"; rows without a partner: {before:,} of the baseline, {after:,} of the candidate"
    return said


def changed_concepts(comparison: Comparison, confidence: float) -> list[str]:
    """Of each gated column, the concepts that dropped or rose most, in words."""
    evidence, said = comparison.evidence, []
    for column, found in comparison.columns.items():
        if found.margin is None:
            continue
        tested = evidence.concepts[column]
        places = np.flatnonzero(tested.named(1 - confidence))
        if len(places):
            ordered = places[np.argsort(tested.mean[places])]
            said.append(
                f"{title(column)}: {_largest(ordered, tested.mean, evidence.pairs.concepts)}"
            )
    return said


def changed_tags(comparison: Comparison, confidence: float) -> list[str]:
    """The tags that dropped or rose, in words."""
    said = []
    for by, columns in comparison.evidence.tags.items():
        for column, (tags, tested) in columns.items():
            places = np.flatnonzero(tested.named(1 - confidence))
            ordered = places[np.argsort(tested.mean[places])]
            named = [f"{tags[i].tag} {signed(float(tested.mean[i]))}" for i in ordered[:MOST_NAMED]]
            if named:
                more = f" and {len(ordered) - MOST_NAMED} more" if len(ordered) > MOST_NAMED else ""
                said.append(f"{title(column)} by {by}: {', '.join(named)}{more}")
    return said


def _largest(ordered: np.ndarray, mean: np.ndarray, concepts: Sequence[str]) -> str:
    dropped = [i for i in ordered if mean[i] < 0]
    rose = [i for i in reversed(list(ordered)) if mean[i] > 0]
    parts = []
    for word, places in (("dropped", dropped), ("rose", rose)):
        if places:
            named = [f"{concepts[i]} {signed(float(mean[i]))}" for i in places[:MOST_NAMED]]
            more = f" and {len(places) - MOST_NAMED} more" if len(places) > MOST_NAMED else ""
            parts.append(f"{len(places)} {word}: {', '.join(named)}{more}")
    return "; ".join(parts)
