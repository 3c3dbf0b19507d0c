"""The means of each concept of each model, as the page holds them: dense, and within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jobs.pipeline.results.summary import Summary

MOST_NUMBERS = 310_000
"""That the page holds of cells: 2.4 MB, as numbers of rows are short."""
EXACT = 12_000
"""Up to so many they are written to the last digit; of more, to `DIGITS`."""
DIGITS = 6


@dataclass(frozen=True, eq=False)
class Cells:
    """Of M models, best first, and C concepts."""

    models: Sequence[str | None]
    concepts: list[str | None]
    """In the order of their names, those that the page has."""
    n_concepts: int
    """That there are."""
    n: np.ndarray
    """(M, C) rows that are `ok`."""
    means: dict[str, np.ndarray]
    """(M, C) by score column, CP and PF first; NaN where there is none."""
    left_out: list[str]
    """Score columns for which there is no room."""

    @cached_property
    def is_exact(self) -> bool:
        """Whether its figures are written to the last digit."""
        return self.n.size * (1 + len(self.means)) <= EXACT


def cells_of(summary: Summary, ranked: Sequence[str | None], columns: Sequence[str]) -> Cells:
    """The cells of a summary.

    Where there are too many, concepts of the lowest CP, and then columns, are all that there is
    room for; CP and PF always are.
    """
    table = summary.model_concept
    names = summary.concept["concept"].to_pylist()
    room = MOST_NUMBERS // max(1, len(ranked))
    kept = names
    if 3 * len(names) > room:
        kept = _lowest(summary, max(1, room // 3))
    kept_columns = list(columns[: max(2, room // max(1, len(kept)) - 1)])
    row = {name: place for place, name in enumerate(ranked)}
    place = {name: number for number, name in enumerate(kept)}
    at = [
        (number, row[model], place[concept])
        for number, (model, concept) in enumerate(
            zip(table["model"].to_pylist(), table["concept"].to_pylist(), strict=True)
        )
        if concept in place
    ]
    rows, own_models, own_concepts = np.array(at).T if at else np.empty((3, 0), int)
    shape = len(ranked), len(kept)

    def dense(column: str, fill: float) -> np.ndarray:
        found = np.full(shape, fill)
        found[own_models, own_concepts] = table[column].to_numpy()[rows]
        return found

    return Cells(
        ranked,
        kept,
        len(names),
        dense("n_ok", 0).astype(int),
        {column: dense(f"{column}_mean", np.nan) for column in kept_columns},
        list(columns[len(kept_columns) :]),
    )


def _lowest(summary: Summary, n: int) -> list[str | None]:
    """So many concepts of the lowest CP, in the order of their names."""
    cp = summary.concept["cp_mean"].to_numpy()
    chosen = np.sort(np.argsort(cp, kind="stable")[:n])  # NaN comes last
    names = summary.concept["concept"].to_pylist()
    return [names[place] for place in chosen]
