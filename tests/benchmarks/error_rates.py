"""How often `jobs.compare` is wrong, and how often it sees what is there; simulated pairs.

A draw is the differences of so many concepts, 9 prompts and 2 seeds. A concept's own change comes
from a distribution of mean 0; its pairs scatter about it. Rates are per column, of two gated ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from jobs.pipeline.results.comparison.concepts import concept_changes
from jobs.pipeline.results.comparison.pairing import Differences
from jobs.pipeline.results.comparison.verdict import Gated, Verdict, decide, first_level
from jobs.pipeline.results.intervals import Estimate, estimate_mean
from tests.benchmarks.figures import Figure, at_least, at_most

DRAWS = 2_000
PROMPTS, SEEDS = 9, 2
BETWEEN, WITHIN = 0.02, 0.05
"""Standard deviations of the concepts' own changes, and of a pair about its concept's."""
MOST_WRONG = 3.2
"""Per cent; half of 1 - confidence is promised, 2.5, and 2,000 draws scatter by 0.35."""
SHARE_OFF = 0.1
COLUMNS = ("cp", "pf")

Effects = Callable[[np.random.Generator, int], np.ndarray]


def _tenth_off(rng: np.random.Generator, concepts: int) -> np.ndarray:
    """A tenth 5 standard deviations below the others; of mean 0 and variance 1 together."""
    shift = -5 * (rng.random(concepts) < SHARE_OFF) + 5 * SHARE_OFF
    return (rng.normal(size=concepts) + shift) / math.sqrt(1 + 25 * SHARE_OFF * (1 - SHARE_OFF))


SYMMETRIC: dict[str, Effects] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "t(3)": lambda rng, n: rng.standard_t(3, n) / math.sqrt(3),
}
SKEWED: dict[str, Effects] = {
    # A log-normal's mean is e^(1/2), its variance (e - 1) e.
    "log-normal": lambda rng, n: (
        (rng.lognormal(size=n) - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)
    ),
    "log-normal, the long tail below": lambda rng, n: (
        -(rng.lognormal(size=n) - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)
    ),
    "a tenth 5 sd below": _tenth_off,
    "a tenth 5 sd above": lambda rng, n: -_tenth_off(rng, n),
}


def estimate(
    rng: np.random.Generator, concepts: int, effects: Effects, pairs: str = "all", mean: float = 0.0
) -> Estimate:
    """The mean difference of one column of one draw.

    Args:
        pairs: `all`; `missing`, a fifth of them by chance; `unequal`, from 1 to all of a concept.
    """
    most = PROMPTS * SEEDS
    n = np.full(concepts, most)
    if pairs == "missing":
        n = np.maximum(1, rng.binomial(most, 0.8, concepts))
    elif pairs == "unequal":
        n = rng.integers(1, most + 1, concepts)
    own = BETWEEN * effects(rng, concepts) + rng.normal(size=concepts) * WITHIN / np.sqrt(n)
    return estimate_mean(mean + own, np.ones(concepts))


def rates(
    concepts: int,
    effects: Effects,
    pairs: str = "all",
    draws: int = DRAWS,
    mean: float = 0.0,
    margin: float = 0.0,
    seed: int = 0,
) -> dict[Verdict, float]:
    """Per cent of columns with each verdict; the worst of the two columns."""
    rng = np.random.default_rng(seed)
    counts = {word: dict.fromkeys(COLUMNS, 0) for word in Verdict}
    for _ in range(draws):
        gated = {
            column: Gated(estimate(rng, concepts, effects, pairs, mean), margin)
            for column in COLUMNS
        }
        for column, decision in decide(gated).items():
            counts[decision.verdict][column] += 1
    return {word: 100 * max(found.values()) / draws for word, found in counts.items()}


def mean_detectable_effect(concepts: int, effects: Effects, draws: int = 200) -> float:
    """The minimum detectable effect that `jobs.compare` reports, over draws on average."""
    rng = np.random.default_rng(1)
    level = first_level(0.95, len(COLUMNS))
    found = [estimate(rng, concepts, effects) for _ in range(draws)]
    return float(np.mean([each.minimum_detectable_effect(level) for each in found]))


def power(concepts: int, effects: Effects, draws: int, seed: int = 2) -> float:
    """Per cent of draws in which CP regresses, its drop one MDE beyond the margin; PF as before."""
    rng, margin = np.random.default_rng(seed), 0.005
    drop = -margin - mean_detectable_effect(concepts, effects)
    found = 0
    for _ in range(draws):
        gated = {
            "cp": Gated(estimate(rng, concepts, effects, mean=drop), margin),
            "pf": Gated(estimate(rng, concepts, effects), margin),
        }
        found += decide(gated)["cp"].verdict is Verdict.REGRESSED
    return 100 * found / draws


def concepts_found(noise: float, draws: int, seed: int = 3) -> tuple[float, float]:
    """Per cent of the dropped concepts that are named, and of the named that did not drop.

    Scores have a standard deviation of 1, and six of 60 concepts drop by half of it.

    Args:
        noise: the part of the scores' variance that a pair's two sides do not share.
    """
    rng, dropped = np.random.default_rng(seed), 6
    named = false = found = 0
    for _ in range(draws):
        pairs = rng.normal(0, math.sqrt(2 * noise), (60, PROMPTS, SEEDS))
        pairs[:dropped] -= 0.5
        prompts = pairs.mean(2)
        differences = Differences(
            np.full(60, PROMPTS * SEEDS),
            prompts.mean(1),
            np.zeros(60),
            prompts.var(1, ddof=1),
            np.full(60, 1 / PROMPTS),
            np.full(60, PROMPTS - 1),
        )
        is_named = concept_changes(differences).named(0.05)
        found += int(is_named[:dropped].sum())
        false += int(is_named[dropped:].sum())
        named += int(is_named.sum())
    return 100 * found / (draws * dropped), 100 * false / max(1, named)


def of_verdicts(draws: int = DRAWS) -> Iterator[Figure]:
    """A line for each thing that may go wrong."""
    for concepts in (60, 12):
        for name, effects in {**SYMMETRIC, **SKEWED}.items():
            for pairs in ("all", "missing", "unequal") if name in SYMMETRIC else ("all",):
                shown = f"{concepts} concepts, {name}, {pairs} pairs"
                regressed = rates(concepts, effects, pairs, draws)[Verdict.REGRESSED]
                at_margin = rates(concepts, effects, pairs, draws, -0.01, 0.01, seed=1)
                same = at_margin[Verdict.SAME] + at_margin[Verdict.IMPROVED]
                for what, rate in (("regressed", regressed), ("same", same)):
                    line = f"false {what}, {shown}"
                    if name in SYMMETRIC:
                        yield at_most(line, rate, "%", MOST_WRONG)
                    else:
                        yield Figure(line, rate, "%")
        for name, effects in SYMMETRIC.items():
            seen = power(concepts, effects, draws)
            line = f"regressed at one MDE beyond the margin, {concepts} concepts, {name}"
            yield Figure(line, seen, "%", "75 to 85", 75 <= seen <= 85)
            margin = 1.5 * mean_detectable_effect(concepts, effects)
            alike = rates(concepts, effects, "all", draws, 0.0, margin, seed=4)
            share = alike[Verdict.SAME] + alike[Verdict.IMPROVED]
            line = f"same at a margin of 1.5 MDE, {concepts} concepts, {name}"
            yield at_least(line, share, "%", 90)
    for noise in (0.1, 0.15, 0.2, 0.3):
        found, false = concepts_found(noise, 200)
        line = f"concepts, of a pair's variance {noise:.0%} not shared"
        yield Figure(f"dropped {line}: found", found, "%")
        yield at_most(f"named {line}: false", false, "%", 5)
