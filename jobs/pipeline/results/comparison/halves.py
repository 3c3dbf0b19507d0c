"""An A/A comparison: a model against itself, one half of its seeds against the other.

Nothing differs but chance, so what is seen is the noise that a margin has to stand above.

1. The seeds of each concept and prompt are put in order, and go to the two halves in turn.
2. The halves are paired by concept and prompt, as two sets of seeds are.
3. The floor of a column is the farther end of its interval from zero, at the level that decides
   first, times the root of a half: a half has half the seeds, so the difference of two whole nights
   scatters less by that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.pipeline.results.comparison.comparing import Rules
from jobs.pipeline.results.comparison.opening import MEMORY_LIMIT
from jobs.pipeline.results.comparison.pairing import BY_ID, Side, make_pairs
from jobs.pipeline.results.comparison.verdict import first_level
from jobs.pipeline.results.database import connected
from jobs.pipeline.results.intervals import Interval
from jobs.pipeline.run.rows import OK
from jobs.pipeline.run.scores import Scores


@dataclass(frozen=True)
class Floor:
    """What two halves of one model differ by, by column; or why that cannot be said."""

    columns: dict[str, float] = field(default_factory=dict)
    """The least margin that chance alone does not fill."""
    note: str = ""
    """Why there is none; empty where there is."""


def floor_of(scores: Scores, model: str | None, rules: Rules) -> Floor:
    """The floor of a run's gated columns.

    Args:
        scores: with `prompt_id, prompt, seed` and the columns.

    Raises:
        StorageError, or DuckDB's own error: a part cannot be read.
    """
    return scores.query(lambda source: _floor(source, model, rules))


def _floor(source: str, model: str | None, rules: Rules) -> Floor:
    columns = list(rules.gate)
    with connected(MEMORY_LIMIT) as connection:
        connection.execute(
            f"""CREATE TEMP TABLE ranked AS SELECT *, dense_rank() OVER (
                PARTITION BY concept, {BY_ID} ORDER BY seed) % 2 AS half
            FROM ({source}) WHERE status = $ok AND model IS NOT DISTINCT FROM $model
                AND seed IS NOT NULL""",
            {"ok": OK, "model": model},
        )
        for half, view in enumerate(("baseline", "candidate")):
            connection.execute(
                f"CREATE TEMP VIEW {view} AS SELECT * FROM ranked WHERE half = {half}"
            )
        [(most,)] = connection.execute(
            f"""SELECT coalesce(max(n), 0) FROM (SELECT count(DISTINCT seed) AS n FROM ranked
            GROUP BY concept, {BY_ID})"""
        ).fetchall()
        if most < 2:
            return Floor(note="no prompt has two seeds, so there is no floor")
        sides = Side("baseline", model), Side("candidate", model)
        pairs = make_pairs(connection, *sides, columns, "prompt")
    level = first_level(rules.confidence, len(columns))
    found = {
        column: _farther(pairs.columns[column].estimate().interval(level)) for column in columns
    }
    if len(pairs.concepts) < rules.min_concepts:
        n = len(pairs.concepts)
        return Floor(note=f"{n} concepts have two seeds, {rules.min_concepts} are needed")
    return Floor({column: value for column, value in found.items() if math.isfinite(value)})


def _farther(interval: Interval) -> float:
    return math.sqrt(0.5) * max(abs(interval.low), abs(interval.high))


def margins_below(floors: dict[str, float], gate: dict[str, float]) -> Sequence[str]:
    """Gated columns whose margin is one that chance alone may fill."""
    return [column for column, margin in gate.items() if margin < floors.get(column, 0.0)]
