"""How far a score rests on the mask: what each mask moves of each sample's score and rank.

Pure functions over arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

MOST_SHOWN = 10
"""Samples that are named: those whose rank a mask moves most."""


@dataclass(frozen=True)
class MaskMoves:
    """What scoring by another mask moves."""

    mask: str
    n: int
    """Samples with a score by both masks."""
    n_lost: int
    """Samples that have one by the given mask alone."""
    median: float
    """Of the absolute differences; so are the next two. NaN without samples."""
    p95: float
    largest: float
    median_rank: float
    """Of the absolute changes of rank, as a share of the ranks there are; so is the next."""
    p95_rank: float


@dataclass(frozen=True)
class Decided:
    """A sample whose rank the mask decides: by the mask that moves it farthest."""

    key: str
    mask: str
    scores: tuple[float, float]
    """By the given mask, and by this one."""
    ranks: tuple[float, float]
    """Likewise; the highest score has rank 1, equal scores share the mean of theirs."""
    n: int
    """Samples that are ranked."""


@dataclass(frozen=True)
class Moves:
    """Of all masks."""

    by_mask: Sequence[MaskMoves]
    decided: Sequence[Decided]
    """The farthest first."""


def moves(
    keys: Sequence[str],
    given: np.ndarray,
    by_mask: Mapping[str, np.ndarray],
    most: int = MOST_SHOWN,
) -> Moves:
    """What masks move.

    Args:
        keys: of the N samples.
        given: (N,) scores by the given mask; NaN where there is none.
        by_mask: by the name of each other mask, (N,) scores.
        most: samples to name.
    """
    found: list[MaskMoves] = []
    farthest: dict[str, Decided] = {}
    for mask, values in by_mask.items():
        has_both = ~(np.isnan(given) | np.isnan(values))
        before, after = given[has_both], values[has_both]
        apart = np.abs(after - before)
        # Highest first.
        ranks = rankdata(-before), rankdata(-after)
        steps = np.abs(ranks[1] - ranks[0])
        n = len(before)
        n_lost = int((~np.isnan(given) & np.isnan(values)).sum())
        found.append(
            MaskMoves(
                *(mask, n, n_lost),
                *(_quantile(apart, 0.5), _quantile(apart, 0.95), _quantile(apart, 1.0)),
                *(_quantile(steps, 0.5) / max(n, 1), _quantile(steps, 0.95) / max(n, 1)),
            )
        )
        for place, at in enumerate(np.flatnonzero(has_both).tolist()):
            own = Decided(
                keys[at],
                mask,
                (float(before[place]), float(after[place])),
                (float(ranks[0][place]), float(ranks[1][place])),
                n,
            )
            if keys[at] not in farthest or _steps(own) > _steps(farthest[keys[at]]):
                farthest[keys[at]] = own
    moved = [each for each in farthest.values() if _steps(each) > 0]
    return Moves(found, sorted(moved, key=lambda each: (-_steps(each), each.key))[:most])


def _steps(decided: Decided) -> float:
    """As a share of the ranks: some masks are had by fewer samples."""
    return abs(decided.ranks[1] - decided.ranks[0]) / decided.n


def _quantile(values: np.ndarray, share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else float("nan")
