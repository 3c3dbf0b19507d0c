"""Whether a verdict stands before all concepts are there.

1. The differences of the concepts so far are held against their margins as ever (`verdict.decide`),
   Holm over all gated columns, but by confidence sequences (`sequences`): however often one looks,
   and whenever one stops, the chance of a false `regressed`, or of a false `same` at the margin, is
   half of alpha.
2. A night that never stops is judged by its whole, with half of alpha too: together they are alpha.
3. One column that has regressed is a verdict; any other asks for all of them.
4. The usual verdict on the same concepts says the same; where a few concepts differ far more than
   all others its bootstrap sees what a standard deviation does not.
5. The concepts still to come would not change the word: the verdict on the whole is the same at
   both ends of where its means may come to lie, were the rest as those so far. This says nothing of
   the truth, only of what the whole night would have said; it can but delay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from jobs.pipeline.results.comparison.verdict import Gated, Verdict, decide, first_level, worst
from jobs.pipeline.results.intervals import RESAMPLES, Estimate, Interval, estimate_mean
from jobs.pipeline.results.sequences import running_estimate, tuned

FORESEEN = 0.9
"""How surely the whole night's verdict is to be the one that a night stops with."""


LEAST_CONCEPTS = 10
"""Fewer are never enough: the boundary is asymptotic. By simulation, looks from 4 normal concepts
on make 8 % of false `regressed`, and from 2 on 11 %."""


@dataclass(frozen=True)
class EarlyRules:
    """How it is decided whether a night may stop."""

    margins: Mapping[str, float]
    """By gated column."""
    lower_is_better: frozenset[str] = frozenset()
    confidence: float = 0.95
    min_concepts: int = 10

    @property
    def level(self) -> float:
        """Of the intervals of Holm's first step, which a look shows."""
        return first_level(self.confidence, len(self.margins))

    @property
    def enough(self) -> int:
        """Concepts before which nothing is decided."""
        return max(LEAST_CONCEPTS, self.min_concepts)

    @property
    def r(self) -> float:
        """Intervals are narrowest where a clear night is to stop: as soon as it may."""
        return tuned(self.level, self.enough)


@dataclass(frozen=True)
class Look:
    """What there is to see after so many concepts."""

    concepts: int
    """The fewest that a gated column has."""
    intervals: Mapping[str, Interval]
    """By gated column, at the level of Holm's first step."""
    verdict: Verdict | None
    """The one that stands; None while the night goes on."""


def look(means: Mapping[str, np.ndarray], n_concepts: int, rules: EarlyRules) -> Look:
    """Look at the concepts that are there.

    Args:
        means: by gated column, (G,) mean difference of each concept, candidate minus baseline.
        n_concepts: of the whole night.
    """
    running = {column: running_estimate(each, rules.r) for column, each in means.items()}
    intervals = {column: each.interval(rules.level) for column, each in running.items()}
    concepts = min(each.concepts for each in running.values())
    verdict = _verdict(running, rules) if concepts >= rules.enough else Verdict.UNDECIDED
    stands = (
        verdict is not Verdict.UNDECIDED
        and verdict is _foreseen(running, n_concepts, rules)
        and verdict
        is _verdict({c: estimate_mean(m, np.ones(len(m))) for c, m in means.items()}, rules)
    )
    return Look(concepts, intervals, verdict if stands else None)


def _verdict(estimates: Mapping[str, Estimate], rules: EarlyRules) -> Verdict:
    gated = {
        column: Gated(each, rules.margins[column], column in rules.lower_is_better)
        for column, each in estimates.items()
    }
    decided = decide(gated, rules.confidence, rules.min_concepts, explains=False)
    return worst([each.verdict for each in decided.values()])


def _foreseen(
    running: Mapping[str, Estimate], n_concepts: int, rules: EarlyRules
) -> Verdict | None:
    """The verdict of all concepts, the rest being as those so far; None where it may be either."""
    ends = []
    for side in (-1, 1):
        whole = {}
        for column, each in running.items():
            n, total = each.concepts, max(each.concepts, n_concepts)
            spread = each.standard_error * math.sqrt(n)
            # The mean of all lies about the mean of some as those of draws without replacement do.
            off = stdtrit(n - 1, (1 + FORESEEN) / 2) * spread * math.sqrt(1 / n - 1 / total)
            whole[column] = Estimate(
                *(each.mean + side * float(off), spread / math.sqrt(total), total),
                *(np.empty(0), RESAMPLES),
            )
        ends.append(_verdict(whole, rules))
    return ends[0] if ends[0] is ends[1] else None
