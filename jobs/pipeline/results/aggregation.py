"""From rows to groups: one pass over the rows counts them by model and concept; the rest adds up.

A cell is one concept of one model. Its counts and moments are DuckDB's; those of a whole model or
concept follow from its cells'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import duckdb
import numpy as np

from jobs.pipeline.run.rows import ERROR, OK, SKIPPED
from jobs.pipeline.run.scores import quoted

Key = tuple[str | None, ...]

STATUSES = {"n_ok": OK, "n_skipped": SKIPPED, "n_error": ERROR}

SUBJECTS = ("n_subject_missing", "n_subject_not_found")
"""Rows that are `ok` and have no subject, or one that is not in their prompt."""


@dataclass(frozen=True)
class Moments:
    """Of one score in each of G groups, over its values: the numbers in rows that are `ok`."""

    n: np.ndarray
    """(G,) number of values."""
    nan: np.ndarray
    """(G,) rows that are `ok` and whose score is NaN or infinite. A null is not computed, and not
    counted."""
    mean: np.ndarray
    """(G,) NaN where there is no value; so are the others."""
    squares: np.ndarray
    """(G,) sum of squared differences from the mean."""
    least: np.ndarray
    """(G,) the smallest value."""
    most: np.ndarray
    """(G,) the largest value."""

    @property
    def std(self) -> np.ndarray:
        """(G,) of the sample (n - 1); NaN for fewer than two values."""
        return np.sqrt(self.squares / np.where(self.n > 1, self.n - 1, np.nan))


@dataclass(frozen=True)
class Groups:
    """Counts and moments of the rows in each group, groups in the order of their keys."""

    keys: list[Key]
    """Null last."""
    counts: dict[str, np.ndarray]
    """`n`, and by the names in `STATUSES` and `SUBJECTS`."""
    moments: dict[str, Moments]
    """By score column."""


@dataclass(frozen=True)
class Grouping:
    """How things that have keys make up groups."""

    names: tuple[str, ...]
    """The columns that the groups' keys are of."""
    keys: list[Key]
    """Of the groups; null last."""
    codes: np.ndarray
    """The place of each thing's group in `keys`."""

    def total(self, figures: np.ndarray) -> np.ndarray:
        """(groups,) the sum of what the members have, NaN left out."""
        return np.bincount(self.codes, np.nan_to_num(figures), len(self.keys))


def group_by(names: tuple[str, ...], keys: Sequence[Key]) -> Grouping:
    """The grouping by `names` of what has these keys, in which the model comes before the concept.

    >>> group_by(("concept",), [("m", "dog"), ("m", "cat"), (None, "dog")]).keys
    [('cat',), ('dog',)]
    """
    places = [("model", "concept").index(name) for name in names]
    own = [tuple(key[place] for place in places) for key in keys]
    distinct = sorted(set(own), key=lambda key: [(name is None, name or "") for name in key])
    number = {key: place for place, key in enumerate(distinct)}
    return Grouping(names, distinct, np.array([number[key] for key in own], dtype=int))


def select_cells(connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> Groups:
    """The cells of the view `scores`.

    Args:
        connection: has a view `scores` with `model, concept, status, subject, subject_found` and
            the columns.
        columns: the score columns.
    """
    values = "".join(
        f", {name} AS raw_{i}, CASE WHEN isfinite({name}) THEN {name} END AS value_{i}"
        for i, name in enumerate(map(quoted, columns))
    )
    moments = "".join(
        f""", count(value_{i}) AS n_{i}, count(raw_{i}) - count(value_{i}) AS nan_{i},
        avg(value_{i}) AS mean_{i}, var_pop(value_{i}) * count(value_{i}) AS squares_{i},
        min(value_{i}) AS least_{i}, max(value_{i}) AS most_{i}"""
        for i in range(len(columns))
    )
    # By status too: one more key costs less than a filter for every figure.
    table = connection.sql(
        f"""SELECT model, concept, status, count(*) AS n,
            count(*) - count(nullif(subject, '')) AS n_subject_missing,
            count(not_found) AS n_subject_not_found {moments}
        FROM (
            SELECT model, concept, status, subject,
                CASE WHEN subject <> '' AND NOT subject_found THEN 1 END AS not_found {values}
            FROM scores
        ) GROUP BY model, concept, status"""
    ).to_arrow_table()
    names = ("model", "concept")
    cells = group_by(names, list(zip(*(table[name].to_pylist() for name in names), strict=True)))
    status = np.array(table["status"].to_pylist(), dtype=object)
    n, is_ok = table["n"].to_numpy(), status == OK
    counts = {"n": n} | {name: np.where(status == kept, n, 0) for name, kept in STATUSES.items()}
    counts |= {name: np.where(is_ok, table[name].to_numpy(), 0) for name in SUBJECTS}

    def moment(name: str, i: int) -> np.ndarray:
        """A figure of the rows that are `ok`, cell by cell."""
        found = table[f"{name}_{i}"].to_numpy()
        own = np.zeros(len(cells.keys), found.dtype) if name in ("n", "nan") else nothing.copy()
        own[cells.codes[is_ok]] = found[is_ok]
        return own

    nothing = np.full(len(cells.keys), np.nan)
    figures = [field.name for field in fields(Moments)]
    return Groups(
        cells.keys,
        {name: cells.total(found).astype(int) for name, found in counts.items()},
        {
            column: Moments(**{name: moment(name, i) for name in figures})
            for i, column in enumerate(columns)
        },
    )


def add_up(cells: Groups, grouping: Grouping) -> Groups:
    """The groups that the cells make up."""
    counts = {name: grouping.total(found).astype(int) for name, found in cells.counts.items()}
    moments = {name: _merge(found, grouping) for name, found in cells.moments.items()}
    return Groups(grouping.keys, counts, moments)


def _merge(cells: Moments, grouping: Grouping) -> Moments:
    """The moments of the groups' values; squares as Chan, Golub & LeVeque (1983) add them up."""
    n = grouping.total(cells.n)
    with np.errstate(invalid="ignore"):
        mean = grouping.total(cells.n * cells.mean) / n
    between = cells.n * (cells.mean - mean[grouping.codes]) ** 2
    least, most = np.full(len(n), np.inf), np.full(len(n), -np.inf)
    np.fmin.at(least, grouping.codes, cells.least)
    np.fmax.at(most, grouping.codes, cells.most)
    has_values = n > 0
    return Moments(
        n.astype(int),
        grouping.total(cells.nan).astype(int),
        mean,
        np.where(has_values, grouping.total(cells.squares + between), np.nan),
        np.where(has_values, least, np.nan),
        np.where(has_values, most, np.nan),
    )
