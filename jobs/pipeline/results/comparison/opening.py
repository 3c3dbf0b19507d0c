"""Two runs opened side by side, and which of their models belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TypeVar

import duckdb

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.results.database import connected
from jobs.pipeline.run.scores import Scores
from jobs.pipeline.storage.retry import reason_of

MEMORY_LIMIT = "2500MB"
"""Of DuckDB, which spills what is more."""

Answer = TypeVar("Answer")


def ask_both(
    before: Scores,
    after: Scores,
    ask: Callable[[duckdb.DuckDBPyConnection], Answer],
    concepts: Sequence[str] | None = None,
) -> Answer:
    """The answer of `ask(connection)`, which has the views `baseline` and `candidate`.

    Args:
        concepts: those whose rows the views have; None asks for all rows.

    Raises:
        StorageError: a part cannot be read.
    """

    def of_sources(baseline: str, candidate: str) -> Answer:
        with connected(MEMORY_LIMIT) as connection:
            for view, source in (("baseline", baseline), ("candidate", candidate)):
                if concepts is None:
                    connection.execute(f"CREATE TEMP VIEW {view} AS {source}")
                else:
                    view_of_concepts(connection, view, source, concepts)
            return ask(connection)

    try:
        if before.parts == after.parts:
            return before.query(lambda source: of_sources(source, source))
        return before.query(lambda first: after.query(lambda second: of_sources(first, second)))
    except duckdb.Error as error:
        # What went wrong in reading comes through DuckDB, which wraps it in errors of its own.
        raise StorageError("baseline and candidate", reason_of(error)) from error


def view_of_concepts(
    connection: duckdb.DuckDBPyConnection, view: str, source: str, concepts: Sequence[str]
) -> None:
    """Make a view of the rows of `source`, a SELECT, that are of these concepts."""
    connection.execute(
        f"CREATE TEMP TABLE of_{view} AS SELECT unnest($1) AS name", [list(concepts)]
    )
    connection.execute(
        f"CREATE TEMP VIEW {view} AS SELECT * FROM ({source}) "
        f"WHERE concept IN (SELECT name FROM of_{view})"
    )


def models_of(connection: duckdb.DuckDBPyConnection, view: str) -> list[str]:
    """In order; rows without a model are those whose JSON could not be read."""
    found = connection.execute(
        f"SELECT DISTINCT model FROM {view} WHERE model IS NOT NULL ORDER BY model"
    ).fetchall()
    return [model for (model,) in found]


def matched_models(
    before: Sequence[str], after: Sequence[str], old: str | None, new: str | None
) -> list[tuple[str, str]]:
    """The models that are compared, the baseline's first.

    A run of one model is that model, whatever its name. Of several and none named, those of one
    name go together.

    Args:
        before, after: models of the two runs.
        old, new: named ones.

    Raises:
        CallError: a model that is not there, or none goes with another.
    """
    _require_models(before, after, old, new)
    if old is None and new is None and not len(before) == len(after) == 1:
        pairs = [(model, model) for model in before if model in after]
    else:
        first = old or (before[0] if len(before) == 1 else new)
        second = new or (after[0] if len(after) == 1 else first)
        pairs = [(str(first), str(second))] if first in before and second in after else []
    if not pairs:
        raise CallError(
            f"no two models go together: the baseline has {_listed(before)}, the candidate "
            f"{_listed(after)}; name baseline_model= and candidate_model="
        )
    return pairs


def models_of_one_run(
    models: Sequence[str], old: str | None, new: str | None
) -> list[tuple[str, str]]:
    """All pairs of a run's models; where one or both are named, only theirs and that way round.

    Raises:
        CallError: a model that is not there, or nothing is left to compare.
    """
    _require_models(models, models, old, new)
    if old is None and new is None:
        pairs = list(combinations(models, 2))
    else:
        first, second = ([name] if name is not None else models for name in (old, new))
        pairs = [(one, other) for one in first for other in second if one != other]
    if not pairs and old is not None and old == new:
        raise CallError(f"baseline_model={old}: it is the candidate_model too; name another")
    if not pairs:
        raise CallError("candidate= is required: the baseline has one model only")
    return pairs


def _require_models(
    before: Sequence[str], after: Sequence[str], old: str | None, new: str | None
) -> None:
    """Those that are named are there."""
    for name, model, models in (("baseline", old, before), ("candidate", new, after)):
        if model is not None and model not in models:
            raise CallError(f"{name}_model={model}: the {name} has {_listed(models)}")


def _listed(models: Sequence[str]) -> str:
    return ", ".join(models) or "no model"
