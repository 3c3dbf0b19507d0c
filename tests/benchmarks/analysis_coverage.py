"""How often the intervals of an AUC and of an agreement hold the truth; simulated draws.

AUC: scores of pairs are normal, those of one subject 1 above the others: so its truth is known.
Beside a deviation of its own a pair has that of its subject, or of its two; without such clusters
DeLong's interval, which takes pairs for independent, holds as well.

Agreement: a metric and two raters who share a part that is the sample's, and one that is its
concept's. Alpha on a scale that is given, and rho, have their truth in the correlation r: alpha is
r, rho is 6 / pi * asin(r / 2) for normal scores.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr

from jobs.pipeline.results.agreement.agreeing import agree
from jobs.pipeline.results.agreement.protocols import Protocol
from jobs.pipeline.results.agreement.ratings import Column, Ratings, Sample
from jobs.pipeline.results.identity.delong import delong_interval, estimate_auc, placements
from jobs.pipeline.results.intervals import Interval
from tests.benchmarks.figures import Figure, at_most

DRAWS = 1_000
LEAST, MOST, MOST_OF_FEW = 93.0, 97.0, 98.0
"""Per cent of the draws; with few concepts the farther of two ends is sometimes too far."""
AUC = float(ndtr(1 / math.sqrt(2)))
DESIGNS = ((50, 45), (100, 10), (200, 1))
"""Subjects, and pairs of each sort for each subject; ORIDa's first."""
CLUSTERED = 0.3
"""The part of the scores' variance that is the subjects'."""


def pairs(
    rng: np.random.Generator, subjects: int, each: int, clustered: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores of within and cross pairs, and whose they are, as `estimate_auc` takes them."""
    own = np.repeat(np.arange(subjects), each)
    first = rng.integers(0, subjects, len(own))
    second = (first + rng.integers(1, subjects, len(own))) % subjects
    of_one, of_two = (rng.normal(0, math.sqrt(clustered), subjects) for _ in range(2))
    alone = rng.normal(0, math.sqrt(1 - clustered), (2, len(own)))
    within = 1 + of_one[own] + alone[0]
    cross = (of_two[first] + of_two[second]) / math.sqrt(2) + alone[1]
    return within, cross, own, np.stack([first, second], axis=1)


def auc_held(
    subjects: int, each: int, clustered: float, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float, float]:
    """Per cent of draws in which DeLong's interval, and that over subjects, hold the truth; and how
    much wider the second is on average.
    """
    rng, held, widths = np.random.default_rng(seed), np.zeros(2), np.zeros(2)
    for _ in range(draws):
        within, cross, own, two = pairs(rng, subjects, each, clustered)
        delong = delong_interval(placements(within, cross))
        by_subject = estimate_auc(within, cross, own, two).interval()
        for at, interval in enumerate((delong, by_subject)):
            held[at] += _holds(interval, AUC)
            widths[at] += interval.high - interval.low
    return 100 * held[0] / draws, 100 * held[1] / draws, float(widths[1] / widths[0])


def agreement_held(
    concepts: int, each: int, r: float = 0.5, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Per cent of draws in which the intervals of alpha and of rho hold the truth."""
    rng, held = np.random.default_rng(seed), np.zeros(2)
    samples = [Sample("m", f"c{g:03d}", str(p)) for g in range(concepts) for p in range(each)]
    n = len(samples)
    rho = 6 / math.pi * math.asin(r / 2)
    for _ in range(draws):
        # Half of what is shared is the concept's.
        shared = np.repeat(rng.normal(size=concepts), each) + rng.normal(size=n)
        said = math.sqrt(r / 2) * shared + math.sqrt(1 - r) * rng.normal(size=(2, n))
        # One rater, so that the mean rating is normal as well.
        ratings = Ratings(samples, ["x"], np.arange(n), np.zeros(n, int), said[0])
        column = Column("mine", dict(zip(samples, said[1].tolist(), strict=True)), is_rating=True)
        [row] = agree("simulated", ratings, [column], Protocol(scale=(-3.0, 3.0)), []).rows
        held[0] += _holds(row.pooled.estimate.interval(), r)
        held[1] += _holds(row.rho.interval(), rho)
    return 100 * held[0] / draws, 100 * held[1] / draws


def of_analyses(draws: int = DRAWS) -> Iterator[Figure]:
    """A line for each design."""
    for subjects, each in DESIGNS:
        for clustered in (0.0, CLUSTERED):
            delong, by_subject, wider = auc_held(subjects, each, clustered, draws)
            shown = f"{subjects} subjects, {each} pairs each, {clustered:.0%} the subjects'"
            yield _held(f"AUC over subjects, {shown}", by_subject)
            if clustered:
                yield Figure(f"AUC by DeLong, {shown}", delong, "%")
            else:
                yield _held(f"AUC by DeLong, {shown}", delong)
                yield at_most(f"the first over the second, {shown}", wider, "x", 1.1)
    for concepts in (20, 60, 150):
        alpha, rho = agreement_held(concepts, 9, draws=draws)
        yield _held(f"alpha of a metric, {concepts} concepts", alpha, MOST_OF_FEW)
        yield _held(f"rho of a metric, {concepts} concepts", rho, MOST_OF_FEW)


def cost(keys: int = 9_000, concepts: int = 150, metrics: int = 12) -> Iterator[Figure]:
    """Seconds of a table as large as DreamBench++'s."""
    rng = np.random.default_rng(0)
    samples = [
        Sample(f"m{i % 7}", f"c{i // 7 % concepts:03d}", str(i // 7 // concepts))
        for i in range(keys)
    ]
    truth = rng.normal(size=keys)
    rated = np.clip(np.round(2 + truth + rng.normal(0, 0.7, (2, keys))), 0, 4)
    places = np.tile(np.arange(keys), 2)
    ratings = Ratings(samples, ["x", "y"], places, np.repeat([0, 1], keys), rated.ravel())
    columns = [
        Column(f"metric {number}", dict(zip(samples, truth + rng.normal(size=keys), strict=True)))
        for number in range(metrics)
    ]
    began = time.monotonic()
    agree("cp", ratings, columns, Protocol(scale=(0.0, 4.0)), [])
    shown = f"{metrics} metrics, {keys:,} keys, {concepts} concepts"
    yield at_most(f"agreement of {shown}", time.monotonic() - began, "s", 30)


def _held(name: str, share: float, most: float = MOST) -> Figure:
    return Figure(name, share, "%", f"{LEAST:g} to {most:g}", LEAST <= share <= most)


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high
