"""Pairs of photos of one subject, and of two: the protocol of MaSC's identity experiment on ORIDa
(arXiv 2605.22469), over whatever photos there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jobs.pipeline.datasets.entries import GENERATION, REFERENCE, Entry

WITHIN = "within"

CROSS = "cross"

SEED = 0
"""Of the drawing of cross pairs, as published."""

PROMPT = "a photo"
"""Of photos, which nobody asked a model for."""


class Place(NamedTuple):
    """A photo, by its subject's number and its own within the subject."""

    subject: int
    photo: int


class Pair(NamedTuple):
    """Two photos, one of which plays the reference."""

    reference: Place
    generation: Place

    @property
    def kind(self) -> str:
        """`within` where both are of one subject, else `cross`."""
        return WITHIN if self.reference.subject == self.generation.subject else CROSS


def pairs_of(n_photos: Sequence[int]) -> list[Pair]:
    """All pairs within subjects, and as many across as there are of them.

    Args:
        n_photos: of each subject.

    Returns:
        Within pairs, subject by subject, the earlier photo as reference. Then cross pairs in the
        order in which `default_rng(0).choice` without replacement draws them from all there are,
        counted as subject a, subject b > a, photo of a (the reference), photo of b.

    Raises:
        ValueError: there are none within, or too few across. The message is the reason.
    """
    within = [
        Pair(Place(subject, first), Place(subject, second))
        for subject, n in enumerate(n_photos)
        for first, second in combinations(range(n), 2)
    ]
    if not within:
        raise ValueError("no subject has two photos, so there are no pairs within one")
    of_two = list(combinations(range(len(n_photos)), 2))
    # Where each two subjects' own cross pairs begin, and end, among all.
    ends = np.cumsum([n_photos[a] * n_photos[b] for a, b in of_two], dtype=np.int64)
    n_cross = int(ends[-1]) if of_two else 0
    if len(within) > n_cross:
        raise ValueError(
            f"{len(within)} pairs within subjects, and only {n_cross} across to hold against them"
        )
    drawn = np.random.default_rng(SEED).choice(n_cross, size=len(within), replace=False)
    return [*within, *_cross_pairs(drawn, of_two, ends, n_photos)]


def _cross_pairs(
    drawn: np.ndarray, of_two: list[tuple[int, int]], ends: np.ndarray, n_photos: Sequence[int]
) -> Iterator[Pair]:
    blocks = np.searchsorted(ends, drawn, side="right")
    for number, block in zip(drawn.tolist(), blocks.tolist(), strict=True):
        a, b = of_two[block]
        within_block = number - (int(ends[block]) - n_photos[a] * n_photos[b])
        photo_a, photo_b = divmod(within_block, n_photos[b])
        yield Pair(Place(a, photo_a), Place(b, photo_b))


@dataclass(frozen=True)
class Photo:
    """A photo of a subject."""

    key: str
    concept: str
    image: Path
    mask: Path | None
    fields: dict[str, Any] = field(default_factory=dict)
    """What its sample's JSON says beside what all have."""


def paired_entries(subjects: Sequence[Sequence[Photo]], model: str) -> list[Entry]:
    """Each photo once as the generation, and once as the reference, of all its pairs.

    A generation lists the references that it is paired with, and in `pair` for each of them whether
    the pair is `within` a subject or `cross`.

    Raises:
        ValueError: what `pairs_of` raises.
    """
    paired: dict[Place, list[Pair]] = {}
    references: dict[Place, None] = {}
    for pair in pairs_of([len(photos) for photos in subjects]):
        paired.setdefault(pair.generation, []).append(pair)
        references[pair.reference] = None
    generations = [
        _generation(
            _at(subjects, place), [_at(subjects, pair.reference) for pair in own], own, model
        )
        for place, own in sorted(paired.items())
    ]
    return [*generations, *(_reference(_at(subjects, place)) for place in sorted(references))]


def _at(subjects: Sequence[Sequence[Photo]], place: Place) -> Photo:
    return subjects[place.subject][place.photo]


def _generation(photo: Photo, references: list[Photo], pairs: list[Pair], model: str) -> Entry:
    fields = {
        "model": model,
        "concept": photo.concept,
        "prompt": PROMPT,
        **photo.fields,
        "references": [reference.key for reference in references],
        "pair": [pair.kind for pair in pairs],
    }
    return Entry(GENERATION, photo.key, photo.image, photo.mask, fields, str(photo.image))


def _reference(photo: Photo) -> Entry:
    fields = {"concept": photo.concept, **photo.fields}
    return Entry(REFERENCE, photo.key, photo.image, photo.mask, fields, str(photo.image))
