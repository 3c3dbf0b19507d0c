"""How the scores of each model are spread: counts in bins, which all models share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline.run.rows import OK
from jobs.pipeline.run.scores import quoted

BINS = 48


@dataclass(frozen=True, eq=False)
class Distribution:
    """Of one score column."""

    column: str
    edges: np.ndarray
    """(BINS + 1,) ends of the bins; the last holds its upper end too."""
    counts: dict[str | None, np.ndarray]
    """(BINS,) by model, in the order of their names; values of rows that are `ok`."""


def select_distributions(
    connection: duckdb.DuckDBPyConnection, model: pa.Table, columns: Sequence[str]
) -> list[Distribution]:
    """Of each column that has a value.

    Args:
        connection: has a view `scores` with `model, status` and the columns.
        model: as `Summary.model`, of that view.
    """
    found = []
    for column in columns:
        least = pc.min(model[f"{column}_min"]).as_py()
        most = pc.max(model[f"{column}_max"]).as_py()
        if least is not None:
            found.append(_select(connection, model["model"].to_pylist(), column, least, most))
    return found


def _select(
    connection: duckdb.DuckDBPyConnection,
    models: Sequence[str | None],
    column: str,
    least: float,
    most: float,
) -> Distribution:
    if not most > least:
        # Of one value: a bin wide enough to be seen.
        least, most = least - 0.01, most + 0.01
    name = quoted(column)
    # Written out: a prepared statement would plan the scan of all parts without them.
    width = (most - least) / BINS
    place = f"least({BINS - 1}, floor(({name} - {least!r}) / {width!r}))::INTEGER"
    rows = connection.execute(
        f"""SELECT model, {place} AS bin, count(*) FROM scores
            WHERE status = '{OK}' AND isfinite({name}) GROUP BY ALL"""
    ).fetchall()
    counts = {each: np.zeros(BINS, int) for each in models}
    for each, place, n in rows:
        counts[each][max(0, place)] += n
    edges = least + width * np.arange(BINS + 1)
    assert math.isclose(edges[-1], most, rel_tol=1e-6, abs_tol=1e-9)
    return Distribution(column, edges, counts)
