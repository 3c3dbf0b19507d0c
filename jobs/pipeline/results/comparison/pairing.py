"""From the rows of two models to the differences of their pairs, concept by concept.

1. Rows that are `ok` are put together by (concept, prompt, seed); several of one key are averaged.
2. A key that both models have is a pair. Where that makes too few, as between two sets of seeds,
   pairs are of (concept, prompt), and else of concepts: means over what is not shared.
3. DuckDB adds the differences up by prompt, and by concept. Python sees concepts only.

A prompt is its `prompt_id`, or its text where one of the models has no ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from jobs.pipeline.results.intervals import ROUNDING, Estimate, estimate_mean
from jobs.pipeline.run.rows import OK
from jobs.pipeline.run.scores import quoted

PRODUCT = "cp_x_pf"
"""The column that is the product of CP and PF, sample by sample."""
LEVELS = {
    "seed": ("concept", "prompt", "seed"),
    "prompt": ("concept", "prompt"),
    "concept": ("concept",),
}
"""What makes a pair, the finest first."""
AUTO = "auto"
ENOUGH = 0.5
"""The share of the smaller side's keys that has to find a partner, else pairs are made coarser."""
BY_ID = "coalesce(prompt_id, prompt, '')"
BY_TEXT = "coalesce(prompt, '')"
KEYS = ("concept", "prompt", "seed")
NO_SEED = 1 - 2**63
"""Stands for null, so that rows without a seed pair up."""


@dataclass(frozen=True)
class Side:
    """One model of one run: `view` has its run's rows."""

    view: str
    model: str | None


@dataclass(frozen=True)
class Differences:
    """Of one score column, candidate minus baseline, over the pairs of each of G concepts."""

    n: np.ndarray
    """(G,) pairs of which both have a value."""
    mean: np.ndarray
    """(G,) mean difference; NaN without a pair, and so are the following."""
    baseline: np.ndarray
    """(G,) mean of the baseline in these pairs."""
    variance: np.ndarray
    """(G,) of a prompt's difference, if all prompts had as many pairs; of a pair's where the
    concept has one prompt only. NaN with `df` of 0."""
    share: np.ndarray
    """(G,) of that variance, which is the variance of `mean`."""
    df: np.ndarray
    """(G,) of `variance`: one less than the prompts, or pairs."""

    @property
    def known(self) -> np.ndarray:
        """The mean differences of the concepts that have one."""
        return self.mean[self.n > 0]

    def estimate(self) -> Estimate:
        """The mean over concepts, each counting once, and how sure it is."""
        return estimate_mean(self.known, np.ones(len(self.known)))


@dataclass(frozen=True)
class Pairs:
    """What two models have in common."""

    level: str
    """One of `LEVELS`."""
    concepts: list[str]
    """In order; of those that have a pair."""
    n: np.ndarray
    """(G,) pairs of each."""
    n_unpaired: tuple[int, int]
    """Rows that are `ok` of the baseline, and of the candidate, without a partner."""
    n_changed_prompts: int
    """Pairs whose prompts have one id and two texts."""
    columns: dict[str, Differences]

    @property
    def n_pairs(self) -> int:
        """Of all concepts."""
        return int(self.n.sum())


def make_pairs(
    connection: duckdb.DuckDBPyConnection,
    baseline: Side,
    candidate: Side,
    columns: Sequence[str],
    level: str = AUTO,
) -> Pairs:
    """Pair two models.

    Args:
        connection: has the views, with `model, concept, status, prompt_id, prompt, seed`, and the
            columns; `PRODUCT` is made of `cp` and `pf`.
        level: one of `LEVELS`; `AUTO` takes the finest that makes enough pairs.
    """
    finest, *coarser = LEVELS if level == AUTO else [level]
    totals = join_by(connection, baseline, candidate, columns, finest)
    chosen = finest
    for next_level in coarser:
        if totals.are_enough:
            break
        chosen = next_level
        totals = join_by(connection, baseline, candidate, columns, chosen)
    found = _by_concept(connection, columns)
    return Pairs(
        chosen,
        found["concept"].to_pylist(),
        found["n_pairs"].to_numpy(),
        (totals.only_baseline, totals.only_candidate),
        totals.changed_prompts,
        {column: _differences(found, i) for i, column in enumerate(columns)},
    )


@dataclass(frozen=True)
class _Totals:
    pairs: int
    only_baseline: int
    only_candidate: int
    changed_prompts: int
    of_baseline: int
    """Rows of the baseline that came out of the join, each as often as it did."""
    of_candidate: int

    @property
    def are_enough(self) -> bool:
        """Whether it is worth to pair as finely as this."""
        smaller = self.pairs + min(self.only_baseline, self.only_candidate)
        return self.pairs > 0 and self.pairs >= ENOUGH * smaller


def join_by(
    connection: duckdb.DuckDBPyConnection,
    baseline: Side,
    candidate: Side,
    columns: Sequence[str],
    level: str,
    tag: str = "",
) -> _Totals:
    """Make the table `prompts`: of each concept, prompt and tag the sums over its pairs.

    Args:
        level: one of `LEVELS`.
        tag: SQL of a row's tag; rows where it is null are left out. Empty: there is none.
    """
    if level == "seed":
        # Nearly always a key has one row, and to average duplicates takes as long as to join. Where
        # one has several, rows come out of the join more than once; how many is then limited to
        # what rows without duplicates can give, so that it ends.
        sides = (baseline, candidate)
        n_rows = tuple(_count_keyed(connection, side, tag) for side in sides)
        totals = _join_once(connection, baseline, candidate, columns, level, tag, sum(n_rows))
        if (totals.of_baseline, totals.of_candidate) == n_rows:
            return totals
    return _join_once(connection, baseline, candidate, columns, level, tag, None)


def _join_once(
    connection: duckdb.DuckDBPyConnection,
    baseline: Side,
    candidate: Side,
    columns: Sequence[str],
    level: str,
    tag: str,
    most_rows: int | None,
) -> _Totals:
    """Join rows as they are, of which `most_rows` come out at most; None averages them first."""
    by_id = have_ids(connection, baseline, candidate)
    averages = most_rows is None
    of_baseline, of_candidate = (
        _keyed(side, columns, level, tag, by_id, averages) for side in (baseline, candidate)
    )
    sums = "".join(
        f""", count(c_{i} - b_{i}) AS n_{i}, sum(c_{i} - b_{i}) AS s_{i},
        sum((c_{i} - b_{i}) * (c_{i} - b_{i})) AS q_{i},
        sum(b_{i}) FILTER (c_{i} IS NOT NULL) AS b_{i}"""
        for i in range(len(columns))
    )
    values = "".join(f", b.v_{i} AS b_{i}, c.v_{i} AS c_{i}" for i in range(len(columns)))
    keys = [*KEYS, "tag"] if tag else KEYS
    groups = ", ".join(key for key in keys if key != "seed")
    changed = "b_text <> c_text" if by_id else "FALSE"
    limit = "" if averages else f"LIMIT {most_rows}"
    # USING, and a key that is never null: joins on IS NOT DISTINCT FROM take half as long again.
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE prompts AS SELECT {groups},
            count(*) FILTER (b_rows > 0 AND c_rows > 0) AS n_pairs,
            sum(b_rows) AS of_baseline, sum(c_rows) AS of_candidate,
            sum(b_rows) FILTER (c_rows IS NULL) AS only_baseline,
            sum(c_rows) FILTER (b_rows IS NULL) AS only_candidate,
            count(*) FILTER ({changed}) AS changed {sums}
        FROM (
            SELECT {groups}, b.rows AS b_rows, c.rows AS c_rows, b.text AS b_text,
                c.text AS c_text {values}
            FROM ({of_baseline}) b FULL OUTER JOIN ({of_candidate}) c USING ({", ".join(keys)})
            {limit}
        ) GROUP BY {groups}""",
        {"ok": OK, "baseline": baseline.model, "candidate": candidate.model},
    )
    names = ("n_pairs", "only_baseline", "only_candidate", "changed", "of_baseline", "of_candidate")
    added = ", ".join(f"coalesce(sum({name}), 0)::BIGINT" for name in names)
    [totals] = connection.execute(f"SELECT {added} FROM prompts").fetchall()
    return _Totals(*totals)


def _keyed(
    side: Side, columns: Sequence[str], level: str, tag: str, by_id: bool, averages: bool
) -> str:
    """A SELECT of a row a key, with the means of its rows' values; or of the rows as they are."""
    shared = LEVELS[level]
    by = {
        "concept": "concept",
        "prompt": (BY_ID if by_id else BY_TEXT) if "prompt" in shared else "''",
        "seed": f"coalesce(seed, {NO_SEED})" if "seed" in shared else f"{NO_SEED}::BIGINT",
        **({"tag": tag} if tag else {}),
    }
    # The hash of null is a number: rows without a text would have another one.
    text = "CASE WHEN prompt IS NOT NULL THEN hash(prompt) END"
    values = {"rows": "1", "text": text if by_id and "prompt" in shared else "0"}
    values |= {f"v_{i}": value_of(column) for i, column in enumerate(columns)}
    groups = ""
    if averages:
        combine = {"rows": "count", "text": "min"}
        values = {name: f"{combine.get(name, 'avg')}({of})" for name, of in values.items()}
        groups = f"GROUP BY {', '.join(str(place + 1) for place in range(len(by)))}"
    named = ", ".join(f"{source} AS {name}" for name, source in (by | values).items())
    return f"SELECT {named} FROM {side.view} WHERE {_is_keyed(side, tag)} {groups}"


def _is_keyed(side: Side, tag: str) -> str:
    """SQL of whether a row takes part."""
    has_tag = f" AND {tag} IS NOT NULL" if tag else ""
    of_model = f"model IS NOT DISTINCT FROM ${side.view}"
    return f"status = $ok AND concept IS NOT NULL AND {of_model}{has_tag}"


def _count_keyed(connection: duckdb.DuckDBPyConnection, side: Side, tag: str) -> int:
    [(n,)] = connection.execute(
        f"SELECT count(*) FROM {side.view} WHERE {_is_keyed(side, tag)}",
        {"ok": OK, side.view: side.model},
    ).fetchall()
    return n


def have_ids(connection: duckdb.DuckDBPyConnection, baseline: Side, candidate: Side) -> bool:
    """Whether prompts go by their ids: both models have some."""
    return all(
        connection.execute(
            f"SELECT count(prompt_id) > 0 FROM {side.view} WHERE model IS NOT DISTINCT FROM $model",
            {"model": side.model},
        ).fetchall()
        == [(True,)]
        for side in (baseline, candidate)
    )


def difference_sums(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[str]
) -> dict[str, np.ndarray]:
    """Of each prompt that has a pair, what the last pairing added up, in order of the concepts.

    `concept`, `n` pairs, and of column i the number of its differences `n_i`, their sum `s_i` and
    sum of squares `q_i`.
    """
    sums = ", ".join(f"{name}_{i}" for i in range(len(columns)) for name in ("n", "s", "q"))
    return _arrays(
        connection.sql(
            f"SELECT concept, n_pairs AS n, {sums} FROM prompts WHERE n_pairs > 0 "
            "ORDER BY concept, prompt"
        )
    )


def score_sums(
    connection: duckdb.DuckDBPyConnection, side: Side, columns: Sequence[str]
) -> dict[str, np.ndarray]:
    """As `difference_sums`, of one model's scores and rows.

    Several rows of one seed are one score, their mean, as in a pair; those without a seed are
    scores of their own.
    """
    prompt = BY_ID if have_ids(connection, side, side) else BY_TEXT
    of_seeds, of_prompts = "", ""
    for i, value in enumerate(map(value_of, columns)):
        of_seeds += f", count({value}) AS n_{i}, sum({value}) AS s_{i}"
        of_seeds += f", sum({value} * ({value})) AS q_{i}"
        of_prompts += f""", sum(if(seed IS NULL, n_{i}, least(n_{i}, 1))) AS n_{i},
            sum(if(seed IS NULL, s_{i}, s_{i} / n_{i})) AS s_{i},
            sum(if(seed IS NULL, q_{i}, (s_{i} / n_{i}) * (s_{i} / n_{i}))) AS q_{i}"""
    return _arrays(
        connection.sql(
            f"""SELECT concept, sum(if(seed IS NULL, n, 1)) AS n {of_prompts} FROM (
                SELECT concept, {prompt} AS of_prompt, seed, count(*) AS n {of_seeds}
                FROM {side.view} WHERE {_is_keyed(side, "")} GROUP BY ALL
            ) GROUP BY concept, of_prompt ORDER BY concept, of_prompt""",
            params={"ok": OK, side.view: side.model},
        )
    )


def _arrays(found: duckdb.DuckDBPyRelation) -> dict[str, np.ndarray]:
    table = found.to_arrow_table()
    numbers = {name: floats(table[name]) for name in table.column_names if name != "concept"}
    return {"concept": np.array(table["concept"].to_pylist(), dtype=object), **numbers}


def value_of(column: str) -> str:
    """SQL of a row's score; null where it is none."""
    if column == PRODUCT:
        return "CASE WHEN isfinite(cp) AND isfinite(pf) THEN cp * pf END"
    name = quoted(column)
    return f"CASE WHEN isfinite({name}) THEN {name} END"


def _by_concept(connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> pa.Table:
    """Of each concept that has a pair the sums over its prompts."""
    sums = "".join(
        f""", coalesce(sum(n_{i}), 0)::BIGINT AS n_{i}, sum(s_{i}) AS s_{i}, sum(q_{i}) AS q_{i},
        sum(b_{i}) AS b_{i}, count(*) FILTER (n_{i} > 0) AS prompts_{i},
        sum(s_{i} * s_{i}) AS ss_{i}, sum(s_{i} * n_{i}) AS sn_{i},
        sum(n_{i}::DOUBLE * n_{i}) AS nn_{i}"""
        for i in range(len(columns))
    )
    return connection.sql(
        f"""SELECT concept, sum(n_pairs)::BIGINT AS n_pairs {sums} FROM prompts
        GROUP BY concept HAVING sum(n_pairs) > 0 ORDER BY concept"""
    ).to_arrow_table()


def _differences(found: pa.Table, i: int) -> Differences:
    n = found[f"n_{i}"].to_numpy()
    s, q, b, ss, sn, nn = (
        floats(found[f"{name}_{i}"]) for name in ("s", "q", "b", "ss", "sn", "nn")
    )
    prompts = found[f"prompts_{i}"].to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = s / n
        # Of prompts: the sum of squares of what each adds to the mean, n times.
        of_prompts = ss - 2 * mean * sn + mean**2 * nn
        of_prompts = np.where(of_prompts > ROUNDING * ss, of_prompts, 0) / n**2
        of_prompts = of_prompts * prompts / (prompts - 1)
        of_pairs = q - n * mean**2
        of_pairs = np.where(of_pairs > ROUNDING * q, of_pairs, 0) / (n - 1) / n
        is_of_prompts = prompts > 1
        df = np.where(is_of_prompts, prompts, n) - 1
        share = np.where(is_of_prompts, nn / n**2, 1 / n)
        variance = np.where(is_of_prompts, of_prompts, of_pairs) / share
    has_variance = df > 0
    return Differences(
        n,
        mean,
        np.divide(b, n, out=np.full(len(n), np.nan), where=n > 0),
        np.where(has_variance, variance, np.nan),
        share,
        np.maximum(df, 0),
    )


def floats(column: pa.ChunkedArray) -> np.ndarray:
    """Null is NaN."""
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)
