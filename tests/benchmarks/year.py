"""A year of nights: how often the gate against the last that passed and the pinned gate alarm, and
how late; simulated.

A checkpoint's score of a concept is the model's level, what the checkpoint changed of that concept,
and the mean noise of 9 prompts and 2 seeds. Differences of two checkpoints scatter as those of
`error_rates` do. All checkpoints are held against one pin, so the pin's own luck is in all of them;
the last that passed is another each night, and the luckier the likelier it passed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jobs.pipeline.nights.history import has_passed
from jobs.pipeline.results.comparison.verdict import Gated, Verdict, decide, worst
from jobs.pipeline.results.intervals import estimate_mean
from tests.benchmarks.error_rates import BETWEEN, COLUMNS, PROMPTS, SEEDS, WITHIN
from tests.benchmarks.figures import Figure, at_least, at_most

NIGHTS = 365
CONCEPTS = 60
MARGIN = 0.01
"""With 60 concepts like these the half-width is 0.007: a margin below that decides nothing."""
WIDE_MARGIN = 0.03
"""Beside which the noise of a night is small, and a night's drift cannot be seen at all."""
DRIFT = 0.1
"""Margins a night."""
BAD_NIGHT, BAD_DROP = 180, 3 * MARGIN
YEARS = 20
SERIES = 30
"""Nights of which it is said how many series without a change have an alarm."""

Words = list[Verdict]


@dataclass(frozen=True)
class Year:
    """The verdicts of each night by each gate alone; the first night of the last-passed gate has
    none to be held against, and is `same`."""

    last: Words
    pin: Words


def simulate(levels: np.ndarray, seed: int, margin: float = MARGIN) -> Year:
    """A year of checkpoints at these true levels; PF stands still.

    Args:
        levels: (nights,) of CP, the pin's being 0.
    """
    rng = np.random.default_rng(seed)
    deviation = math.sqrt((BETWEEN**2 + WITHIN**2 / (PROMPTS * SEEDS)) / 2)
    scores = rng.normal(0, deviation, (len(levels), len(COLUMNS), CONCEPTS))
    scores[:, 0] += levels[:, None]
    pin = rng.normal(0, deviation, (len(COLUMNS), CONCEPTS))
    by_last: Words = [Verdict.SAME]
    passed = scores[0]
    for night in scores[1:]:
        word = judged(night - passed, margin)
        by_last.append(word)
        if has_passed(word):
            passed = night
    return Year(by_last, [judged(night - pin, margin) for night in scores])


def judged(differences: np.ndarray, margin: float) -> Verdict:
    """The word for one night.

    Args:
        differences: (columns, concepts), candidate minus baseline.
    """
    ones = np.ones(differences.shape[1])
    gated = {
        column: Gated(estimate_mean(own, ones), margin)
        for column, own in zip(COLUMNS, differences, strict=True)
    }
    return worst([each.verdict for each in decide(gated).values()])


def first_alarm(words: Words) -> float:
    """The night of the first `regressed`, counted from 1; infinite where there is none."""
    return next((n + 1.0 for n, word in enumerate(words) if word is Verdict.REGRESSED), math.inf)


def of_a_year(years: int = YEARS, nights: int = NIGHTS) -> Iterator[Figure]:
    """Alarms of a year without a change, with a slow drift, and with one bad checkpoint."""
    yield from _without_a_change(years, nights)
    for margin in (MARGIN, WIDE_MARGIN):
        yield from _with_a_drift(years, nights, margin)
    yield from _with_a_bad_night(years, nights)


def _without_a_change(years: int, nights: int) -> Iterator[Figure]:
    found = [simulate(np.zeros(nights), seed) for seed in range(years)]
    for gate, words in (("last passed", [y.last for y in found]), ("pin", [y.pin for y in found])):
        rates = {
            word: 100 * float(np.mean([each.count(word) / nights for each in words]))
            for word in Verdict
        }
        alarms = rates[Verdict.REGRESSED]
        yield at_most(f"no change, {gate}: nights with a false alarm", alarms, "%", 1.0)
        yield Figure(f"no change, {gate}: undecided nights", rates[Verdict.UNDECIDED], "%")
        series = [
            Verdict.REGRESSED in each[at : at + SERIES]
            for each in words
            for at in range(0, nights - SERIES + 1, SERIES)
        ]
        share = 100 * float(np.mean(series))
        yield Figure(f"no change, {gate}: series of {SERIES} nights with an alarm", share, "%")


def _with_a_drift(years: int, nights: int, margin: float) -> Iterator[Figure]:
    levels = -DRIFT * margin * np.arange(1, nights + 1)
    found = [simulate(levels, 1_000 + seed, margin) for seed in range(years)]
    pin = np.array([first_alarm(each.pin) for each in found])
    last = np.array([first_alarm(each.last) for each in found])
    name = f"drift of a tenth of a margin of {margin:g} a night"
    caught = 100 * float(np.isfinite(pin).mean())
    yield at_least(f"{name}: years in which the pin alarms", caught, "%", 100)
    detail = "10 nights are a margin"
    yield at_most(
        f"{name}: the pin's first alarm, median", float(np.median(pin)), "nights", 30, detail
    )
    yield Figure(f"{name}: the pin's first alarm, latest", float(pin.max()), "nights")
    caught = 100 * float(np.isfinite(last).mean())
    yield Figure(f"{name}: years in which the last-passed gate alarms", caught, "%")
    if np.isfinite(last).any():
        first = float(np.median(last[np.isfinite(last)]))
        yield Figure(f"{name}: its first alarm where it does, median", first, "nights")
    passed = [sum(has_passed(word) for word in each.last) for each in found]
    share = 100 * float(np.mean(passed)) / nights
    yield Figure(f"{name}: nights that the last-passed gate lets pass", share, "%")


def _with_a_bad_night(years: int, nights: int) -> Iterator[Figure]:
    bad = min(BAD_NIGHT, nights - 2)
    levels = np.zeros(nights)
    levels[bad] = -BAD_DROP
    found = [simulate(levels, 2_000 + seed) for seed in range(years)]
    for gate, words in (("last passed", [y.last for y in found]), ("pin", [y.pin for y in found])):
        seen = 100 * float(np.mean([each[bad] is Verdict.REGRESSED for each in words]))
        yield at_least(f"one checkpoint 3 margins worse, {gate}: caught at once", seen, "%", 95)
        after = 100 * float(np.mean([each[bad + 1] is Verdict.REGRESSED for each in words]))
        yield Figure(f"one checkpoint 3 margins worse, {gate}: alarm at the next", after, "%")
