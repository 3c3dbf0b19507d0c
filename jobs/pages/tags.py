"""The scores of each prompt, and of each value of what samples were tagged with.

A tag takes the place of the model, and then that of the concept, in a view of the rows: the figures
are the reducer's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pyarrow as pa

from jobs.pipeline.results.aggregation import Groups, add_up, group_by, select_cells
from jobs.pipeline.results.comparison.tags import EXTRA, MOST_TAGS, tag_expression
from jobs.pipeline.results.intervals import Interval, mean_interval
from jobs.pipeline.run.scores import quoted

FEW = 50
"""Values that a tag may have to be taken without being asked for, and that are shown of one."""
MOST_KEYS = 12
"""Names in `extra` that are looked at."""
LOOKED_AT = 50_000
"""Rows in which names are looked for."""


@dataclass(frozen=True)
class TagValue:
    """One value of a tag."""

    value: str
    n: int
    n_ok: int
    n_concepts: int
    intervals: dict[str, Interval]
    """By score column, of the mean over its samples, over concepts."""


@dataclass(frozen=True)
class TagTable:
    """One tag."""

    by: str
    n_values: int
    """That there are."""
    values: list[TagValue]
    """All of them, or those of the lowest and the highest PF; the lowest first."""
    means: dict[str, np.ndarray] = field(default_factory=dict)
    """By score column, (models, values); NaN where there is none."""
    note: str = ""
    """Why there are no values."""


def select_tags(
    connection: duckdb.DuckDBPyConnection,
    models: Sequence[str | None],
    columns: Sequence[str],
    asked: Sequence[str],
) -> list[TagTable]:
    """Of each tag that is asked for; of prompts and of what has few values where none is.

    Args:
        connection: has a view `rows` with `model, concept, status, subject, subject_found, prompt,
            prompt_id, seed, extra` and the columns. Its view `scores` is replaced.
        models: the rows of `means`, in their order.
        columns: score columns.
        asked: as `tag_expression` takes them.
    """
    return [
        _table(connection, models, columns, by, is_asked=bool(asked))
        for by in asked or _found(connection)
    ]


def _found(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """The tags that there are."""
    [(n_ids, n_prompts)] = connection.execute(
        "SELECT count(prompt_id), count(prompt) FROM rows"
    ).fetchall()
    if n_ids or n_prompts:
        yield "prompt_id" if n_ids else "prompt"
    names = connection.execute(
        f"""SELECT DISTINCT unnest(json_keys(extra)) AS name FROM (
            SELECT extra FROM rows WHERE extra LIKE '{{%' AND json_valid(extra) LIMIT {LOOKED_AT}
        ) ORDER BY name LIMIT {MOST_KEYS}"""
    ).fetchall()
    for (name,) in names:
        if 2 <= _count(connection, f"{EXTRA}{name}") <= FEW:
            yield f"{EXTRA}{name}"


def _count(connection: duckdb.DuckDBPyConnection, by: str) -> int:
    [(n,)] = connection.execute(
        f"SELECT approx_count_distinct({_expression(by)}) FROM rows"
    ).fetchall()
    return n


def _expression(by: str) -> str:
    """SQL of a row's tag; null of a row whose `extra` is no JSON."""
    tag = tag_expression(by)
    return f"CASE WHEN json_valid(extra) THEN {tag} END" if by.startswith(EXTRA) else tag


def _table(
    connection: duckdb.DuckDBPyConnection,
    models: Sequence[str | None],
    columns: Sequence[str],
    by: str,
    is_asked: bool,
) -> TagTable:
    n_values = _count(connection, by)
    if n_values == 0:
        return TagTable(by, 0, [], note="no row has a value of it" if is_asked else "")
    if n_values > MOST_TAGS:
        return TagTable(by, n_values, [], note=f"about {n_values:,} values, too many to list")
    cells = _cells(connection, _expression(by), "concept", columns)
    chosen, n_scored = _chosen(cells)
    kept = pa.table({"value": pa.array([each.value for each in chosen], pa.string())})
    connection.register("kept", kept)
    of_models = _cells(connection, "model", _expression(by), columns, "IN (SELECT value FROM kept)")
    return TagTable(by, n_scored, chosen, _means(of_models, models, chosen))


def _cells(
    connection: duckdb.DuckDBPyConnection,
    model: str,
    concept: str,
    columns: Sequence[str],
    only: str = "IS NOT NULL",
) -> Groups:
    """Cells of the rows, other things in the place of model and concept."""
    tag = concept if model == "model" else model
    scores = ", ".join(map(quoted, columns))
    connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW scores AS SELECT {model} AS model, {concept} AS concept,
        status, subject, subject_found, {scores} FROM rows WHERE {tag} {only}"""
    )
    return select_cells(connection, columns)


def _chosen(cells: Groups) -> tuple[list[TagValue], int]:
    """The values that are shown, and how many there are.

    Args:
        cells: have a tag in the place of the model.
    """
    grouping = group_by(("model",), cells.keys)
    totals = add_up(cells, grouping)
    # Cells are in the order of their tags.
    ends = np.cumsum(np.bincount(grouping.codes, minlength=len(grouping.keys)))
    scored = np.flatnonzero(totals.counts["n_ok"])
    pf = totals.moments["pf"].mean if "pf" in totals.moments else np.full(len(ends), np.nan)
    ordered = scored[np.argsort(pf[scored], kind="stable")]  # NaN comes last
    half = FEW // 2
    shown = ordered if len(ordered) <= FEW else np.r_[ordered[:half], ordered[-half:]]
    values = []
    for number in shown:
        own = slice(ends[number - 1] if number else 0, ends[number])
        n, n_ok = (int(totals.counts[name][number]) for name in ("n", "n_ok"))
        n_concepts = int((cells.counts["n_ok"][own] > 0).sum())
        [value] = grouping.keys[number]
        values.append(TagValue(str(value), n, n_ok, n_concepts, _intervals(cells, own)))
    return values, len(scored)


def _intervals(cells: Groups, own: slice) -> dict[str, Interval]:
    found = {}
    for column, moments in cells.moments.items():
        n, means = moments.n[own], moments.mean[own]
        found[column] = mean_interval((means * n)[n > 0], n[n > 0])
    return found


def _means(
    cells: Groups, models: Sequence[str | None], values: Sequence[TagValue]
) -> dict[str, np.ndarray]:
    row = {model: place for place, model in enumerate(models)}
    place = {each.value: number for number, each in enumerate(values)}
    at = [(row[model], place[str(value)]) for model, value in cells.keys]
    found = {}
    for column, moments in cells.moments.items():
        found[column] = np.full((len(models), len(values)), np.nan)
        for where, mean in zip(at, moments.mean, strict=True):
            found[column][where] = mean
    return found
