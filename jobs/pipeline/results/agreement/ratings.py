"""What people, and metrics, say of samples; by sample, so that they can be put side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from jobs.pipeline.errors import CallError

NO_ROW = "no row"
"""Why a column has no value for a sample that it says nothing of."""


class Sample(NamedTuple):
    """One generation that is rated."""

    model: str
    concept: str
    prompt_id: str
    seed: int | None = None
    """None throughout where ratings do not tell seeds apart."""

    def __str__(self) -> str:
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"{self.model}, {self.concept}, prompt {self.prompt_id}{seed}"


class Rating(NamedTuple):
    """What one rater says of one sample."""

    where: str
    """It stands there, for messages."""
    sample: Sample
    rater: str
    value: float | None
    """None is a gap."""


@dataclass(frozen=True, eq=False)
class Ratings:
    """N ratings of U samples, each of which has one or more."""

    samples: Sequence[Sample]
    raters: Sequence[str]
    """R of them."""
    sample: np.ndarray
    """(N,) place in `samples`."""
    rater: np.ndarray
    """(N,) place in `raters`."""
    value: np.ndarray
    """(N,) finite."""
    n_missing: int = 0
    """Ratings that were asked for and not given."""

    @property
    def models(self) -> np.ndarray:
        """(U,) names."""
        return np.array([sample.model for sample in self.samples], object)

    @property
    def concepts(self) -> np.ndarray:
        """(U,) numbers of the samples' concepts, from 0 in the order of their names."""
        return numbered([sample.concept for sample in self.samples])

    @property
    def means(self) -> np.ndarray:
        """(U,) mean rating; what rounding makes of equal ones is made equal again."""
        n = len(self.samples)
        totals = np.bincount(self.sample, self.value, n)
        return np.round(totals / np.bincount(self.sample, minlength=n), 12)

    def only(self, is_kept: np.ndarray) -> Ratings:
        """The ratings of the samples of which (U,) says so."""
        places = np.cumsum(is_kept) - 1
        kept = is_kept[self.sample]
        samples = [each for each, is_one in zip(self.samples, is_kept, strict=True) if is_one]
        return Ratings(
            samples,
            self.raters,
            places[self.sample[kept]],
            self.rater[kept],
            self.value[kept],
            self.n_missing,
        )


@dataclass(frozen=True)
class Column:
    """What one metric says of samples."""

    name: str
    values: Mapping[Sample, float]
    """Finite."""
    absent: Mapping[Sample, str] = field(default_factory=dict)
    """Why there is no value, of samples of which that is known."""
    is_rating: bool = False
    """Whether it is on the scale of the ratings."""

    def why_not(self, sample: Sample) -> str:
        """Of a sample that has no value."""
        return self.absent.get(sample, NO_ROW)


def numbered(names: Sequence[str]) -> np.ndarray:
    """(N,) place of each name among the different ones in their order."""
    if not names:
        return np.zeros(0, int)
    return np.unique(np.array(names, object), return_inverse=True)[1]


def collect(ratings: Iterable[Rating], named: str) -> Ratings:
    """All ratings together, samples and raters in the order in which they come.

    Args:
        named: where they come from, for messages.

    Raises:
        CallError: a rater has rated a sample twice, or there is no rating at all.
    """
    places: dict[Sample, int] = {}
    raters: dict[str, int] = {}
    given: dict[tuple[Sample, str], None] = {}
    sample, rater, value, n_missing = [], [], [], 0
    for each in ratings:
        if (each.sample, each.rater) in given:
            raise CallError(f"{each.where}: rater {each.rater} has rated {each.sample} before")
        given[each.sample, each.rater] = None
        if each.value is None:
            n_missing += 1
            continue
        sample.append(places.setdefault(each.sample, len(places)))
        rater.append(raters.setdefault(each.rater, len(raters)))
        value.append(each.value)
    if not value:
        raise CallError(f"{named}: no rating in it")
    arrays = np.array(sample), np.array(rater), np.array(value, float)
    return Ratings(list(places), list(raters), *arrays, n_missing)
