"""How often a 95 % interval over concepts holds the truth, and what many intervals cost.

The samples of a concept, from 2 to 20 of them, share its effect, and the effects of concepts are
drawn from a normal or from a log-normal distribution (sigma 1), whose mean is the truth.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np

from jobs.pipeline.results.intervals import MANY, mean_interval
from tests.benchmarks.figures import Figure, at_least, at_most

DRAWS = 1_000
LEAST = {
    "normal": {5: 0, 8: 93, 10: 0, 16: 93, 30: 0, 60: 93, 200: 93},
    "log-normal": {5: 0, 8: 0, 10: 88, 16: 90, 30: 90, 60: 90, 200: 90},
}
"""Per cent, by the concepts' number; 0 where nothing is asked."""
MOST = 98.0
"""Per cent, of normal effects: an interval that always holds says nothing."""


def share_held(effects: str, concepts: int, draws: int = DRAWS, seed: int = 0) -> float:
    """In how many of 100 draws of so many concepts the interval holds the truth."""
    rng = np.random.default_rng(seed)
    truth = 0.0 if effects == "normal" else math.exp(0.5)
    held = 0
    for _ in range(draws):
        counts = rng.integers(2, 21, concepts)
        drawn = rng.normal(size=concepts) if effects == "normal" else rng.lognormal(size=concepts)
        interval = mean_interval(counts * drawn, counts)
        held += interval.low <= truth <= interval.high
    return 100 * held / draws


def of_intervals(draws: int = DRAWS) -> Iterator[Figure]:
    """A line for each distribution and number of concepts."""
    for effects, by_concepts in LEAST.items():
        for concepts, least in by_concepts.items():
            held = share_held(effects, concepts, draws)
            name = f"{effects} effects, {concepts} concepts"
            if not least:
                yield Figure(name, held, "%")
            elif effects == "normal":
                target = f"{least:g} to {MOST:g}"
                yield Figure(name, held, "%", target, least <= held <= MOST)
            else:
                yield at_least(name, held, "%", least)


def cost(models: int, columns: int) -> Iterator[Figure]:
    """Seconds of the intervals of so many models and score columns."""
    rng = np.random.default_rng(0)
    for concepts in (150, MANY - 1, 2_000):
        counts = rng.integers(2, 21, (models, concepts))
        sums = counts * rng.normal(0.6, 0.1, (columns, models, concepts))
        began = time.monotonic()
        for of_column in sums:
            for own_sums, own_counts in zip(of_column, counts, strict=True):
                mean_interval(own_sums, own_counts)
        name = f"intervals of {models} models, {columns} columns, {concepts:,} concepts"
        yield at_most(name, time.monotonic() - began, "s", 10)
