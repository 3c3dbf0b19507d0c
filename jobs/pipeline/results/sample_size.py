"""How many concepts, prompts and seeds a difference takes to be seen, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from jobs.pipeline.results.comparison.verdict import MOST_CONCEPTS, concepts_needed
from jobs.pipeline.results.components import Components
from jobs.pipeline.results.intervals import POWER, noncentrality

MARGIN_IN_MDE = 1.5
"""An equal candidate is then the same in more than 95 of 100 comparisons, and one that is worse by
the margin and as much again is seen as regressed in nearly all."""


@dataclass(frozen=True)
class Design:
    """How many of each a comparison has."""

    concepts: int
    prompts: int
    """A concept."""
    seeds: int
    """A prompt."""

    @property
    def images(self) -> int:
        """Of one model."""
        return self.concepts * self.prompts * self.seeds


@dataclass(frozen=True)
class Prices:
    """What an image costs to score."""

    gpu_seconds_per_image: float | None
    """None where no run tells."""
    dollars_per_gpu_hour: float | None

    def gpu_seconds(self, images: int) -> float | None:
        """Of so many."""
        return None if self.gpu_seconds_per_image is None else images * self.gpu_seconds_per_image

    def dollars(self, images: int) -> float | None:
        """Of so many."""
        seconds = self.gpu_seconds(images)
        if seconds is None or self.dollars_per_gpu_hour is None:
            return None
        return seconds / 3600 * self.dollars_per_gpu_hour


def detectable(components: Components, design: Design, level: float, power: float = POWER) -> float:
    """The smallest difference that such a comparison shows with this power, by t's interval.

    NaN with fewer than two concepts.

    Args:
        components: of the paired differences.
        level: of the interval.
    """
    if design.concepts < 2:
        return math.nan
    df = design.concepts - 1
    error = math.sqrt(components.error_squared(design.concepts, design.prompts, design.seeds))
    return error * noncentrality(df, float(stdtrit(df, (1 + level) / 2)), power)


def designs_for(
    components: Components,
    effect: float,
    level: float,
    prompts: Sequence[int],
    seeds: Sequence[int],
    least_concepts: int = 2,
    power: float = POWER,
) -> list[Design]:
    """Of each number of prompts and seeds the fewest concepts that show the effect.

    Those that take more than `MOST_CONCEPTS` are left out; the fewest images come first.
    """
    found = []
    for p in prompts:
        for s in seeds:
            deviation = math.sqrt(components.error_squared(1, p, s))
            needed = concepts_needed(deviation, effect, level, power)
            if needed < MOST_CONCEPTS:
                found.append(Design(max(needed, least_concepts), p, s))
    return sorted(found, key=lambda each: (each.images, each.concepts))


def proposed_margin(mde: float) -> float:
    """`MARGIN_IN_MDE` times what an A/A pair could see, rounded up to two digits.

    >>> proposed_margin(0.00301)
    0.0046
    """
    margin = MARGIN_IN_MDE * mde
    if not margin > 0:
        return 0.0
    digits = 1 - math.floor(math.log10(margin))
    # What is a round number but for the last bits stays one.
    return round(math.ceil(round(margin * 10**digits, 6)) / 10**digits, digits)
