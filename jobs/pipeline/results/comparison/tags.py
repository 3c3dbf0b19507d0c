"""Differences within the pairs of one tag: of one prompt, or of one value in `extra`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from jobs.pipeline.errors import CallError
from jobs.pipeline.results.comparison.pairing import Side, floats, join_by

MOST_TAGS = 10_000
TAGS = ("prompt_id", "prompt", "subject", "seed")
"""What a tag may be beside `extra.NAME`."""
EXTRA = "extra."


@dataclass(frozen=True)
class TagDifferences:
    """The differences of one score column within the pairs of one tag."""

    tag: str
    n: int
    """Pairs of which both have a value."""
    means: np.ndarray
    """(concepts of the tag,) their mean differences, in the order of the concepts."""


def tag_differences(
    connection: duckdb.DuckDBPyConnection,
    baseline: Side,
    candidate: Side,
    columns: Sequence[str],
    level: str,
    tag: str,
) -> dict[str, list[TagDifferences]]:
    """By score column, the differences within each value of `tag`, in the order of the values.

    A pair's rows have the same value; rows without one are left out.

    Args:
        level: as `Pairs.level`.
        tag: one of `TAGS`, or `extra.NAME`.

    Raises:
        CallError: there is no such tag, or more than `MOST_TAGS` values of it.
    """
    join_by(connection, baseline, candidate, columns, level, tag_expression(tag))
    sums = "".join(
        f", sum(n_{i})::BIGINT AS n_{i}, sum(s_{i}) / nullif(sum(n_{i}), 0) AS mean_{i}"
        for i in range(len(columns))
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE tagged AS SELECT tag, concept{sums} FROM prompts
        WHERE n_pairs > 0 GROUP BY tag, concept"""
    )
    [(n_tags,)] = connection.execute("SELECT count(DISTINCT tag) FROM tagged").fetchall()
    if n_tags > MOST_TAGS:
        raise CallError(f"by={tag}: {n_tags:,} values of it, {MOST_TAGS:,} at most")
    if not n_tags:
        raise CallError(f"by={tag}: no pair has a value of it")
    table = connection.sql("SELECT * FROM tagged ORDER BY tag, concept").to_arrow_table()
    tags = np.array(table["tag"].to_pylist(), dtype=object)
    starts = np.flatnonzero(np.r_[True, tags[1:] != tags[:-1]])
    result: dict[str, list[TagDifferences]] = {}
    for i, column in enumerate(columns):
        n, means = table[f"n_{i}"].to_numpy(), floats(table[f"mean_{i}"])
        result[column] = [
            TagDifferences(value, int(own_n.sum()), own[np.isfinite(own)])
            for value, own_n, own in zip(
                tags[starts], np.split(n, starts[1:]), np.split(means, starts[1:]), strict=True
            )
        ]
    return result


def tag_expression(tag: str) -> str:
    """SQL of a row's tag, as text.

    Raises:
        CallError: there is no such tag.
    """
    if tag.startswith(EXTRA) and tag != EXTRA:
        name = tag.removeprefix(EXTRA).replace("\\", "\\\\").replace('"', '\\"').replace("'", "''")
        return f"""json_extract_string(extra, '$."{name}"')"""
    if tag in TAGS:
        return f"CAST({tag} AS VARCHAR)"
    raise CallError(f"by={tag}: expected {', '.join(TAGS)} or {EXTRA}NAME")
