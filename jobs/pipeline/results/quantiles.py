"""Exact quantiles of each group, interpolated linearly.

DuckDB streams the rows' values, and numpy puts each beside the others of its model and concept and
searches them, joined for whole models and whole concepts: the rows are read once. Where the values
do not fit in memory, it is some columns at a time, and one column some groups at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import pyarrow as pa

from jobs.pipeline.results.aggregation import Grouping, Groups
from jobs.pipeline.run.rows import OK
from jobs.pipeline.run.scores import quoted

LEVELS = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}

VALUES_AT_ONCE = 120_000_000
"""In memory, 16 bytes each while those of whole concepts are searched: 2 GB."""
LARGE = 4096
"""Values from which on a group is searched by itself. Smaller ones are sorted many at a time, since
a call of numpy costs as much as sorting a few hundred values."""
NUMBERS_AT_ONCE = 1 << 20


def select_quantiles(
    connection: duckdb.DuckDBPyConnection, cells: Groups, groupings: Sequence[Grouping]
) -> list[dict[str, np.ndarray]]:
    """The quantiles of every score column, (groups, len(LEVELS)), for each of `groupings`.

    Args:
        connection: has a view `scores` with `model, concept, status` and the score columns.
        cells: of that view.
        groupings: of the cells; the first is that in which each is a group.
    """
    quantiles: list[dict[str, np.ndarray]] = [{} for _ in groupings]
    sizes = {column: moments.n for column, moments in cells.moments.items()}
    totals = np.array([own.sum() for own in sizes.values()])
    for batch in _batches(totals):
        columns = [list(sizes)[place] for place in batch]
        if totals[batch].sum() > VALUES_AT_ONCE:
            [column] = columns
            for grouping, found in zip(groupings, quantiles, strict=True):
                own = grouping.total(sizes[column]).astype(int)
                found[column] = _in_pieces(connection, grouping, column, own)
            continue
        gathered = _gather(connection, groupings[0], {name: sizes[name] for name in columns})

        def search(column: str, values: np.ndarray) -> None:
            for grouping, found in zip(groupings, quantiles, strict=True):
                found[column] = _of_joined_cells(values, sizes[column], grouping)

        with ThreadPoolExecutor() as pool:
            list(pool.map(search, gathered.keys(), gathered.values()))
    return quantiles


def _batches(sizes: np.ndarray) -> Iterator[np.ndarray]:
    """The places of sizes next to each other that together fit; of one alone where it does not."""
    first, total = 0, 0
    for place, size in enumerate(sizes):
        if total + size > VALUES_AT_ONCE and place > first:
            yield np.arange(first, place)
            first, total = place, 0
        total += size
    if first < len(sizes):
        yield np.arange(first, len(sizes))


def _of_joined_cells(values: np.ndarray, sizes: np.ndarray, grouping: Grouping) -> np.ndarray:
    """The quantiles of the groups that the cells make up, whose values lie cell after cell."""
    order = np.argsort(grouping.codes, kind="stable")
    if np.any(np.diff(order) != 1):
        ends = np.cumsum(sizes)
        values = np.concatenate([values[ends[i] - sizes[i] : ends[i]] for i in order])
    return quantiles_of_groups(values, grouping.total(sizes).astype(int))


def _in_pieces(
    connection: duckdb.DuckDBPyConnection, grouping: Grouping, column: str, sizes: np.ndarray
) -> np.ndarray:
    """The quantiles of one column, so many groups at a time as fit in memory."""
    return np.concatenate(
        [
            quantiles_of_groups(
                _gather(connection, grouping, {column: sizes}, chosen)[column], sizes[chosen]
            )
            for chosen in _batches(sizes)
        ]
    )


def _gather(
    connection: duckdb.DuckDBPyConnection,
    grouping: Grouping,
    sizes: dict[str, np.ndarray],
    chosen: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """The values of the chosen groups, or of all, group after group.

    Args:
        connection: has the view `scores`.
        grouping: says what a group is.
        sizes: by column, the number of values of each group.
        chosen: places of groups.
    """
    keys = grouping.keys if chosen is None else [grouping.keys[place] for place in chosen]
    sizes = {column: own if chosen is None else own[chosen] for column, own in sizes.items()}
    values = {column: np.empty(own.sum()) for column, own in sizes.items()}
    free = {column: np.cumsum(own) - own for column, own in sizes.items()}
    wanted = {
        name: pa.array([key[place] for key in keys], pa.string())
        for place, name in enumerate(grouping.names)
    }
    connection.register("wanted", pa.table({**wanted, "number": np.arange(len(keys))}))
    values_of_row = "".join(
        f", CASE WHEN status = '{OK}' AND isfinite({name}) THEN {name} ELSE 'nan' END"
        for name in map(quoted, sizes)
    )
    on = " AND ".join(f"scores.{n} IS NOT DISTINCT FROM wanted.{n}" for n in grouping.names)
    query = connection.sql(f"SELECT wanted.number {values_of_row} FROM scores JOIN wanted ON {on}")
    for batch in pa.RecordBatchReader.from_stream(query):
        # Numbers of 16 bits are sorted in linear time.
        numbers = batch.column(0).to_numpy()
        numbers = numbers.astype(np.uint16) if len(keys) <= 1 << 16 else numbers
        order = np.argsort(numbers, kind="stable")
        numbers = numbers[order]
        for column, found in zip(sizes, batch.columns[1:], strict=True):
            own = found.to_numpy()[order]
            is_value = ~np.isnan(own)
            counts = np.bincount(numbers[is_value], minlength=len(keys))
            first = free[column] - (np.cumsum(counts) - counts)
            places = np.arange(counts.sum()) + np.repeat(first, counts)
            values[column][places] = own[is_value]
            free[column] += counts
    return values


def quantiles_of_groups(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The quantiles `LEVELS` of each group.

    Args:
        values: (N,) numbers, group after group, none of them NaN. Reordered within the groups.
        sizes: (G,) number of values of each group; their sum is N.

    Returns:
        (G, len(LEVELS)); NaN where a group has no value.
    """
    starts = np.cumsum(sizes) - sizes
    levels = np.array(list(LEVELS.values()))
    quantiles = np.full((len(sizes), len(levels)), np.nan)
    for group in np.flatnonzero(sizes >= LARGE):
        own = values[starts[group] : starts[group] + sizes[group]]
        below, above, share = _ranks(levels, sizes[group])
        own.partition(np.unique([below, above]))
        quantiles[group] = own[below] + share * (own[above] - own[below])
    width = 1
    while width <= LARGE:
        # Groups of at most so many values and more than half, a row each, filled with infinities.
        alike = np.flatnonzero((sizes > width // 2) & (sizes <= width) & (sizes < LARGE))
        for first in range(0, len(alike), NUMBERS_AT_ONCE // width):
            chosen = alike[first : first + NUMBERS_AT_ONCE // width]
            places = starts[chosen, None] + np.arange(width)
            is_own = np.arange(width) < sizes[chosen, None]
            rows = np.full(places.shape, np.inf)
            rows[is_own] = values[places[is_own]]
            rows.sort(axis=1)
            below, above, share = _ranks(levels, sizes[chosen, None])
            low = np.take_along_axis(rows, below, axis=1)
            high = np.take_along_axis(rows, above, axis=1)
            quantiles[chosen] = low + share * (high - low)
        width *= 2
    return quantiles


def _ranks(levels: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ranks, from 0, between which levels fall among so many values, and how far along."""
    ranks = levels * (sizes - 1)
    below = np.floor(ranks).astype(int)
    return below, np.minimum(below + 1, sizes - 1), ranks - below
