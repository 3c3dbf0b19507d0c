"""Which models of a leaderboard cannot be told apart.

1. Every two models are held against each other over the concepts that both have, by the difference
   of the concepts' means, in CP and in PF.
2. Holm's correction (1979) over all pairs and both columns.
3. Models that share a letter differ in neither; the letters are those of the insert-and-absorb
   algorithm (Piepho, An algorithm for a letter-based representation of all-pairwise comparisons,
   2004).
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa

from jobs.pipeline.results.intervals import LEVEL, Estimate, estimate_mean, estimate_means

COLUMNS = ("cp", "pf")
MIN_CONCEPTS = 10
"""That two models have in common; with fewer they cannot be told apart."""
MOST_MODELS = 50
"""Beyond these, pairs are too many for anyone to read."""


def groups_of(model_concept: pa.Table, ranked: Sequence[str | None]) -> dict[str | None, str]:
    """Letters by model, `a` for the best group; empty where there is nothing to tell apart.

    Args:
        model_concept: as `Summary.model_concept`.
        ranked: the models, best first.
    """
    if not 2 <= len(ranked) <= MOST_MODELS:
        return {}
    means = [_means(model_concept, ranked, column) for column in COLUMNS]
    tests = [(pair, estimate) for of_column in means for pair, estimate in _differences(of_column)]
    if not tests:
        return {}
    different = set()
    p = np.array([estimate.p_value() for _, estimate in tests])
    for rank, place in enumerate(np.argsort(p, kind="stable")):
        if p[place] > (1 - LEVEL) / (len(tests) - rank):
            break
        different.add(tests[place][0])
    return dict(zip(ranked, letters(len(ranked), different), strict=True))


def letters(models: int, different: set[tuple[int, int]]) -> list[str]:
    """For each model the letters of its groups; two share one unless they are `different`.

    >>> letters(3, {(0, 2)})
    ['a', 'ab', 'b']
    """
    groups = [frozenset(range(models))]
    for first, second in sorted(different):
        split: list[frozenset[int]] = []
        for group in groups:
            if first in group and second in group:
                split += [group - {first}, group - {second}]
            else:
                split.append(group)
        # A group within another says nothing more.
        groups = [
            group
            for place, group in enumerate(split)
            if not any(
                group < other or (group == other and at < place) for at, other in enumerate(split)
            )
        ]
    groups.sort(key=sorted)
    return [
        "".join(_letter(place) for place, group in enumerate(groups) if model in group)
        for model in range(models)
    ]


def _letter(place: int) -> str:
    """a to z, then a1 to z1, and so on."""
    round_, within = divmod(place, len(string.ascii_lowercase))
    return string.ascii_lowercase[within] + (str(round_) if round_ else "")


def _means(table: pa.Table, ranked: Sequence[str | None], column: str) -> np.ndarray:
    """(models, concepts) mean scores; NaN where there is none."""
    numbers = {model: place for place, model in enumerate(ranked)}
    names = table["concept"].to_pylist()
    concepts = {concept: place for place, concept in enumerate(sorted(set(names) - {None}))}
    found = np.full((len(ranked), len(concepts)), np.nan)
    values = table[f"{column}_mean"].to_pylist()
    for model, concept, value in zip(table["model"].to_pylist(), names, values, strict=True):
        if concept is not None and value is not None:
            found[numbers[model], concepts[concept]] = value
    return found


def _differences(means: np.ndarray) -> list[tuple[tuple[int, int], Estimate]]:
    """Of every two models with enough concepts in common."""
    pairs = list(combinations(range(len(means)), 2))
    differences = np.array([means[second] - means[first] for first, second in pairs])
    is_whole = np.isfinite(differences).all(1) & (means.shape[1] >= MIN_CONCEPTS)
    found = {}
    wholes = np.flatnonzero(is_whole)
    if len(wholes):
        for place, estimate in zip(wholes, estimate_means(differences[wholes]), strict=True):
            found[place] = estimate
    for place in np.flatnonzero(~is_whole):
        own = differences[place][np.isfinite(differences[place])]
        if len(own) >= MIN_CONCEPTS:
            found[place] = estimate_mean(own, np.ones(len(own)))
    return [(pairs[place], found[place]) for place in sorted(found)]
