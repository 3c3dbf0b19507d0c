"""From the rows of runs to all that their page shows of them, in one reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import duckdb

from jobs.pages.distributions import Distribution, select_distributions
from jobs.pages.reasons import Reason, select_reasons
from jobs.pages.tags import TagTable, select_tags
from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.results.comparison.opening import models_of
from jobs.pipeline.results.database import connected
from jobs.pipeline.results.leaderboard import further_scores, ranked_models
from jobs.pipeline.results.summary import MEMORY_LIMIT, Summary, check_columns, summary_of
from jobs.pipeline.run.scores import Scores
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import reason_of

COLUMNS = ("subject", "subject_found", "prompt", "prompt_id", "seed", "error", "extra")
"""That are read beside the scores."""


@dataclass(frozen=True)
class Figures:
    """What the rows say."""

    summary: Summary
    ranked: list[str | None]
    """The models, best first."""
    columns: list[str]
    """The score columns, CP and PF first."""
    distributions: list[Distribution]
    tags: list[TagTable]
    reasons: list[Reason]


def gather(scores: Scores, runs: Sequence[str], by: Sequence[str]) -> Figures:
    """Reduce the rows.

    Args:
        scores: all columns of the runs.
        by: tags that are asked for; none takes those that there are.

    Raises:
        CallError: there are no rows, or columns that cannot be told apart.
        StorageError: they cannot be read.
    """
    shown = f"run={', '.join(map(redact, runs))}"
    if not scores.n_rows:
        raise CallError(f"{shown}: nothing to show, its parts hold no row")
    check_columns(scores)
    narrowed = scores.select([*COLUMNS, *scores.score_columns])
    try:
        return narrowed.query(partial(_gather, narrowed, len(runs) > 1, by))
    except duckdb.Error as error:
        # What went wrong in reading comes through DuckDB, which wraps it in errors of its own.
        raise StorageError(shown, reason_of(error)) from error


def models_of_several(runs: Sequence[Scores]) -> list[str]:
    """The models that more than one of the runs has, whose rows count as one model's.

    Raises:
        StorageError: a run cannot be read.
    """

    def models(source: str) -> list[str]:
        with connected(MEMORY_LIMIT) as connection:
            connection.execute(f"CREATE TEMP VIEW rows AS {source}")
            return models_of(connection, "rows")

    found = Counter(name for run in runs for name in run.select([]).query(models))
    return [name for name, n in found.items() if n > 1]


def _gather(scores: Scores, is_of_many: bool, by: Sequence[str], source: str) -> Figures:
    with connected(MEMORY_LIMIT) as connection:
        connection.execute(f"CREATE TEMP VIEW rows AS {source}")
        connection.execute("CREATE TEMP VIEW scores AS SELECT * FROM rows")
        summary = summary_of(connection, scores, [], is_of_many)
        columns = ["cp", "pf", *further_scores(summary.model)]
        ranked = ranked_models(summary.model)
        distributions = select_distributions(connection, summary.model, columns)
        reasons = select_reasons(connection)
        tags = select_tags(connection, ranked, columns, by)
    return Figures(summary, ranked, columns, distributions, tags, reasons)
