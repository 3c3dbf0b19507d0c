"""One word for a difference, against a margin, and one for all of them.

1. Each gated column is held against its margin at a level of Holm's (1979). The columns are taken
   in the order of their p at the margin: the first of k has an interval of 1 - alpha / k, the next
   of 1 - alpha / (k - 1), and so on until one is undecided, at whose level all others stay.
2. Where that interval lies is the word: improved above 0, same above -margin, regressed below it,
   undecided across it (Walker & Nowacki, Understanding equivalence and noninferiority testing,
   2011).
3. All columns together are as bad as the worst of them.

The chance of a false `regressed`, or of a false `same` at the margin, is half of alpha. It is
measured to hold for symmetric differences (`tests/benchmarks/error_rates.py`). Where a few concepts
differ far more than all others, the mean is missed more often on the side of those few.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
from scipy import stats
from scipy.special import stdtrit

from jobs.pipeline.results.intervals import POWER, SEED, Estimate, Interval, noncentrality

SIGN_FLIPS_BELOW = 30
"""Concepts below which the permutation's p is given, which asks for no more than symmetry."""
SIGN_FLIPS = 16_384
"""Drawn, where there are more than these: up to 14 concepts all are taken."""
MOST_CONCEPTS = 1_000_000
"""Beyond this many needed ones, no number is said."""


class Verdict(StrEnum):
    """What a team acts on."""

    IMPROVED = "improved"
    SAME = "same"
    UNDECIDED = "undecided"
    REGRESSED = "regressed"


WORST_FIRST = (Verdict.REGRESSED, Verdict.UNDECIDED, Verdict.IMPROVED)

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Gated:
    """A difference that is held against a margin."""

    estimate: Estimate
    """Of candidate minus baseline, over concepts."""
    margin: float
    """How much worse still counts as the same, 0 or more."""
    lower_is_better: bool = False


@dataclass(frozen=True)
class Decision:
    """What became of it."""

    verdict: Verdict
    level: float
    """Of the interval that decided."""
    interval: Interval
    reason: str = ""
    """Why it is undecided, and what would help; empty otherwise."""


def decide(
    gated: Mapping[Key, Gated],
    confidence: float = 0.95,
    min_concepts: int = 10,
    explains: bool = True,
) -> dict[Key, Decision]:
    """The verdict of each, Holm over all of them.

    Args:
        confidence: of all verdicts together: one minus alpha.
        min_concepts: with fewer a difference is undecided, whatever its interval.
        explains: say why a difference is undecided; takes a hundred times as long as the rest.
    """
    alpha, left = 1 - confidence, len(gated)
    is_enough = {key: each.estimate.concepts >= max(2, min_concepts) for key, each in gated.items()}

    def order(key: Key) -> float:
        """p at the margin."""
        each = gated[key]
        if not is_enough[key]:
            return math.inf
        return each.estimate.p_value(each.margin if each.lower_is_better else -each.margin)

    decided: dict[Key, Decision] = {}
    for key in sorted(gated, key=order):
        level = 1 - alpha / max(1, left)
        each = gated[key]
        interval = each.estimate.interval(level)
        verdict, reason = _word(interval, each), ""
        if not is_enough[key]:
            verdict = Verdict.UNDECIDED
            n = each.estimate.concepts
            reason = f"{_counted(n, 'concept')} with pairs, {min_concepts} are needed"
        elif verdict is Verdict.UNDECIDED and explains:
            reason = _what_would_help(each, level)
        decided[key] = Decision(verdict, level, interval, reason)
        if verdict is not Verdict.UNDECIDED:
            left -= 1
    return {key: decided[key] for key in gated}


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Of all together: regressed if any is, else undecided, else improved, else the same.

    Nothing that is held against a margin decides nothing.

    >>> str(worst([Verdict.SAME, Verdict.IMPROVED]))
    'improved'
    """
    if not verdicts:
        return Verdict.UNDECIDED
    return next((word for word in WORST_FIRST if word in verdicts), Verdict.SAME)


def sign_flip_p(means: np.ndarray) -> float:
    """Two-sided p of a mean of zero, by the permutation of signs; 1 where all are zero, and of one
    concept, which is as far from zero with either sign.

    Args:
        means: (G,) mean difference of each concept, symmetric about its truth.
    """
    if not len(means):
        return math.nan
    if len(means) == 1 or not means.any():
        return 1.0
    test = stats.permutation_test(
        (means,),
        np.mean,
        permutation_type="samples",
        n_resamples=SIGN_FLIPS,
        vectorized=True,
        rng=np.random.default_rng(SEED),
    )
    return float(test.pvalue)


def effect_size(means: np.ndarray) -> float:
    """The mean difference in standard deviations over concepts (Cohen's d of pairs).

    NaN with fewer than two concepts, and where all differ by the same.
    """
    if len(means) < 2:
        return math.nan
    spread = float(np.std(means, ddof=1))
    return float(np.mean(means)) / spread if spread else math.nan


def first_level(confidence: float, gated: int) -> float:
    """The level of Holm's first step.

    >>> first_level(0.95, 2)
    0.975
    """
    return 1 - (1 - confidence) / max(1, gated)


def concepts_needed(deviation: float, effect: float, level: float, power: float = POWER) -> int:
    """How many concepts show an effect with this power, by an interval of this level of t's.

    At least 2; `MOST_CONCEPTS` where it would be more, or the effect is 0.

    Args:
        deviation: standard deviation of concepts' mean differences.

    Example:
        Tables of the paired t test: 33.4 pairs for half a standard deviation at 95 %.

        >>> concepts_needed(1.0, 0.5, 0.95)
        34
    """

    def detectable(concepts: int) -> float:
        critical = float(stdtrit(concepts - 1, (1 + level) / 2))
        return deviation / math.sqrt(concepts) * noncentrality(concepts - 1, critical, power)

    few, many = 1, 2
    while detectable(many) > effect:
        few, many = many, 2 * many
        if many > MOST_CONCEPTS:
            return MOST_CONCEPTS
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (middle, many) if detectable(middle) > effect else (few, middle)
    return many


def _word(interval: Interval, gated: Gated) -> Verdict:
    low, high, margin = interval.low, interval.high, gated.margin
    if gated.lower_is_better:
        low, high = -high, -low
    if low > 0:
        return Verdict.IMPROVED
    # No difference anywhere is the same, also where nothing is allowed.
    if low > -margin or low == high == 0:
        return Verdict.SAME
    return Verdict.REGRESSED if high < -margin else Verdict.UNDECIDED


def _what_would_help(gated: Gated, level: float) -> str:
    """Why an interval lies across the margin, and how many concepts would make it narrow enough."""
    estimate = gated.estimate
    detectable = estimate.minimum_detectable_effect(level)
    if gated.margin == 0:
        return "no margin is given, and the interval holds zero"
    if detectable <= gated.margin:
        return (
            f"the interval lies across the margin, though a drop of {detectable:.2g} could be "
            "seen: the difference is close to the margin"
        )
    deviation = estimate.standard_error * math.sqrt(estimate.concepts)
    needed = concepts_needed(deviation, gated.margin, level)
    much = f"about {needed:,}" if needed < MOST_CONCEPTS else f"over {MOST_CONCEPTS:,}"
    return (
        f"with {_counted(estimate.concepts, 'concept')} no drop under {detectable:.2g} is seen; "
        f"the margin of {gated.margin:g} takes {much} like these"
    )


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
