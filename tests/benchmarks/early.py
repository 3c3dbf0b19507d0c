"""How often a night that may stop early is wrong, how early it stops, and whether it says what the
whole night would have said; simulated concepts.

A night has two gated columns, CP and PF. Concepts come one by one in a random order, and the gate
looks after each: the most looks that there can be, and so the most chances to be wrong. Effects and
standard deviations are of the concepts' mean differences, in margins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jobs.pipeline.results.comparison.early import EarlyRules, look
from jobs.pipeline.results.comparison.verdict import Gated, Verdict, decide, worst
from jobs.pipeline.results.intervals import estimate_mean
from jobs.pipeline.results.sequences import boundary
from tests.benchmarks.error_rates import SKEWED, SYMMETRIC, Effects
from tests.benchmarks.figures import Figure, at_least, at_most

NIGHTS = 1_000
RULES = EarlyRules({"cp": 1.0, "pf": 1.0})
MOST_WRONG = 6.0
"""Per cent; 5 are promised, and 1,000 nights scatter by 0.7."""
LEAST_ALIKE = 93.0
"""Per cent."""


@dataclass(frozen=True)
class Nights:
    """What became of so many."""

    stopped: list[Verdict | None]
    """With which verdict; None where it went on to the end."""
    whole: list[Verdict]
    """What all concepts say."""
    shares: np.ndarray
    """(nights,) of the concepts that were needed."""

    def regressed(self) -> float:
        """Per cent that said so, early or at the end."""
        said = [early or whole for early, whole in zip(self.stopped, self.whole, strict=True)]
        return 100 * said.count(Verdict.REGRESSED) / len(said)

    def regressed_early(self) -> float:
        """Per cent that stopped with it."""
        return 100 * self.stopped.count(Verdict.REGRESSED) / len(self.stopped)

    def alike(self) -> float:
        """Per cent that said what all concepts do."""
        pairs = zip(self.stopped, self.whole, strict=True)
        return 100 * sum(early in (None, whole) for early, whole in pairs) / len(self.whole)

    def n_stopped(self) -> int:
        """Nights that did not go on to the end."""
        return sum(verdict is not None for verdict in self.stopped)

    def share(self) -> float:
        """Per cent of the concepts that were needed, on average."""
        return 100 * float(self.shares.mean())


def simulate(
    concepts: int,
    effects: Effects,
    cp: float,
    pf: float,
    deviation: float,
    nights: int = NIGHTS,
    a_look: int = 1,
    seed: int = 0,
    rules: EarlyRules = RULES,
) -> Nights:
    """So many nights.

    Args:
        cp, pf: the true mean differences, in margins.
        deviation: of the concepts, in margins.
        a_look: concepts between two looks.
    """
    rng = np.random.default_rng(seed)
    stopped, whole, shares = [], [], np.ones(nights)
    for night in range(nights):
        drawn = {
            name: truth + deviation * effects(rng, concepts)
            for name, truth in (("cp", cp), ("pf", pf))
        }
        found = None
        for n in _worth_a_look(drawn, rules):
            if (n - rules.min_concepts) % a_look:
                continue
            found = look({name: of[:n] for name, of in drawn.items()}, concepts, rules).verdict
            if found is not None:
                shares[night] = n / concepts
                break
        stopped.append(found)
        whole.append(_at_the_end(drawn, rules))
    return Nights(stopped, whole, shares)


def _worth_a_look(drawn: dict[str, np.ndarray], rules: EarlyRules) -> list[int]:
    """The numbers of concepts at which some column's widest-level interval decides: at all others
    the gate would say nothing, a hundred times as slowly."""
    n = np.arange(1, len(drawn["cp"]) + 1)
    reach = np.array([boundary(int(each), rules.confidence, rules.r) for each in n])
    is_worse, is_known = np.zeros(len(n), bool), np.ones(len(n), bool)
    for name, values in drawn.items():
        mean = values.cumsum() / n
        squares = (values**2).cumsum() - n * mean**2
        deviation = np.sqrt(np.maximum(squares, 0) / np.maximum(1, n - 1))
        low, high = mean - reach * deviation, mean + reach * deviation
        is_worse |= high < -rules.margins[name]
        is_known &= low > -rules.margins[name]
    is_possible = (is_worse | is_known) & (n >= rules.min_concepts) & (n < len(n))
    return [int(each) for each in n[is_possible]]


def _at_the_end(drawn: dict[str, np.ndarray], rules: EarlyRules) -> Verdict:
    gated = {
        name: Gated(estimate_mean(values, np.ones(len(values))), rules.margins[name])
        for name, values in drawn.items()
    }
    decided = decide(gated, rules.confidence, rules.min_concepts, explains=False)
    return worst([each.verdict for each in decided.values()])


def of_nights(nights: int = NIGHTS) -> Iterator[Figure]:
    """A line for each thing that may go wrong, and for what is saved."""
    for concepts in (150, 40):
        for name, effects in {**SYMMETRIC, **SKEWED}.items():
            found = simulate(concepts, effects, cp=-1, pf=-1, deviation=4, nights=nights)
            shown = f"both at the margin, {concepts} concepts, {name}"
            line, wrong = f"false regressed, early or at the end, {shown}", found.regressed()
            early = f"early {found.regressed_early():.1f} %"
            if name in SYMMETRIC:
                yield at_most(line, wrong, "%", MOST_WRONG, early)
            else:
                yield Figure(line, wrong, "%", detail=early)
    for concepts, most in ((150, 10.0), (40, 30.0)):
        for name, effects in SYMMETRIC.items():
            for deviation in (1, 2, 4):
                found = simulate(concepts, effects, -8, 0, deviation, nights)
                shown = f"CP 8 margins down, sd {deviation}, {concepts} concepts, {name}"
                yield at_most(f"shards needed, {shown}", found.share(), "%", most)
                yield at_least(f"as the whole night, {shown}", found.alike(), "%", LEAST_ALIKE)
    for concepts in (150, 40):
        for deviation in (1, 2, 4):
            for cp in (-4.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 2.0, 4.0):
                found = simulate(concepts, SYMMETRIC["normal"], cp, 0, deviation, nights)
                shown = f"CP at {cp:+g} margins, sd {deviation}, {concepts} concepts"
                yield at_least(
                    f"as the whole night, {shown}",
                    *(found.alike(), "%", LEAST_ALIKE),
                    f"{found.share():.0f} % of the shards; {found.n_stopped()} nights stopped",
                )
    for least in (20, 30, 60):
        for name in ("log-normal", "a tenth 5 sd above"):
            rules = EarlyRules(RULES.margins, min_concepts=least)
            found = simulate(150, SKEWED[name], -1, -1, 4, nights, rules=rules)
            line = f"false regressed, min_concepts {least}, 150 concepts, {name}"
            yield Figure(
                line, found.regressed(), "%", detail=f"early {found.regressed_early():.1f} %"
            )
