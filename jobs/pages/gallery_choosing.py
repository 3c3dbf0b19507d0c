"""Which samples of runs are worth a look, and why. By DuckDB: of the rows Python sees the chosen.

1. Of each model its best, worst, most changed and most undecided samples, and the concepts that
   cost it most; and some by chance. The first of each model come before the second of any, so that
   one model that fails throughout does not take all the places; and a concept of which a model has
   a sample waits for its others.
2. What is chosen twice is shown once, with both reasons.
3. Each that is chosen gets its partner: the same concept, prompt and seed in the baseline.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from jobs.pages.gallery_items import BEST, CELL, CHANGED, RANDOM, UNDECIDED, WORST
from jobs.pipeline.results.comparison.pairing import BY_ID, BY_TEXT, value_of
from jobs.pipeline.results.numbers import plain, signed
from jobs.pipeline.run.rows import OK

SHARES = {WORST: 6, CHANGED: 4, BEST: 8, UNDECIDED: 8, RANDOM: 8}
"""Of each kind one in so many of the places; cells take what is left."""
OTHER_CELLS = 100
"""That are named without a picture."""
SPARE = 4
"""How many times as many are looked at as there are places, to find different concepts."""

MERIT = """CASE WHEN isfinite(cp) AND isfinite(pf) THEN
    CASE WHEN cp > 0 AND pf > 0 THEN cp * pf ELSE least(cp, 0) + least(pf, 0) END END"""
"""SQL of a sample's score, by which samples are ordered; null without CP or PF."""
MERIT_IN_WORDS = (
    "The score of a sample is CP x PF; where one of the two is not above 0 their product says "
    "nothing, and it is the sum of what is below 0."
)
Sample = tuple[int, str, str]
"""Run, shard and key."""


@dataclass(frozen=True)
class Chosen:
    """A sample that is worth a look."""

    run: int
    """The number of its run."""
    row: Mapping[str, Any]
    """Of `scores/`, every column that was opened."""
    kinds: Sequence[str]
    """Of `gallery_items.KINDS`, and in this order `reasons`."""
    reasons: Sequence[str]
    partner: Mapping[str, Any] | None = None
    """The row of the baseline's sample of the same concept, prompt and seed."""


@dataclass(frozen=True)
class Choice:
    """What is shown, and what is only named."""

    shown: Sequence[Chosen]
    others: Sequence[Chosen] = ()
    """Of the cells that matter those that have no place."""
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class _Candidate:
    """A sample that may be shown, and why."""

    run: int
    shard: str
    key: str
    concept: str
    model: str
    reason: str

    @property
    def sample(self) -> Sample:
        """What tells it from others."""
        return self.run, self.shard, self.key


def choose(
    connection: duckdb.DuckDBPyConnection,
    count: int,
    seed: int,
    masks: Sequence[str],
    has_pairs: bool,
) -> Choice:
    """Choose samples to show.

    Args:
        connection: has the view `rows`: `run`, a number, and the columns of `scores/`; and, where
            `has_pairs`, what `pair_with` makes.
        count: of places.
        seed: of those that are drawn by chance.
        masks: that have columns `cp@MASK` and `pf@MASK`.
    """
    connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW scored AS SELECT * FROM (
            SELECT *, {MERIT} AS merit FROM rows
            WHERE status = '{OK}' AND concept IS NOT NULL AND model IS NOT NULL
        ) WHERE merit IS NOT NULL"""
    )
    places = places_of(count, has_pairs)
    kept: dict[Sample, dict[str, str]] = {}
    _keep(kept, WORST, _extremes(connection, "min", places[WORST]), places[WORST])
    _keep(kept, BEST, _extremes(connection, "max", places[BEST]), places[BEST])
    if places[CHANGED]:
        _keep(kept, CHANGED, _changed(connection, places[CHANGED]), places[CHANGED])
    undecided = _undecided(connection, masks, places[UNDECIDED])
    _keep(kept, UNDECIDED, undecided, places[UNDECIDED])
    _keep(kept, RANDOM, _random(connection, seed, places[RANDOM]), places[RANDOM])
    cells = _cells(connection, count + OTHER_CELLS, has_pairs)
    _keep(kept, CELL, cells, max(0, count - len(kept)))
    if len(kept) < count:
        _keep(kept, RANDOM, _random(connection, seed, count), count - len(kept))
    others = {each.sample: {CELL: each.reason} for each in cells if each.sample not in kept}
    shown = dict(list(kept.items())[:count])
    named = dict(list(others.items())[:OTHER_CELLS])
    rows = _rows_of(connection, [*shown, *named], has_pairs)
    return Choice(_chosen(shown, rows), _chosen(named, rows))


def places_of(count: int, has_pairs: bool) -> dict[str, int]:
    """How many of each kind are shown, of so many in all; at least one that is worst."""
    shares = {kind: count // one_in for kind, one_in in SHARES.items()}
    shares[CHANGED] *= has_pairs
    return {**shares, WORST: max(shares[WORST], min(1, count))}


def pair_with(
    connection: duckdb.DuckDBPyConnection, models: Sequence[tuple[int, str, str]], by_id: bool
) -> int:
    """Make the table `pairs`: of samples in `rows` and `baseline` that differ in their model alone.

    Samples without a seed, or of which there are several of one concept, prompt and seed, have no
    partner: which belongs to which cannot be told.

    Args:
        connection: has the views `rows` and `baseline`.
        models: run, its model, and the baseline's model that it is held against.
        by_id: whether prompts go by their ids, or else by their texts.

    Returns:
        How many pairs there are.
    """
    prompt = BY_ID if by_id else BY_TEXT
    connection.execute("CREATE OR REPLACE TEMP TABLE held (run BIGINT, new VARCHAR, old VARCHAR)")
    connection.executemany("INSERT INTO held VALUES (?, ?, ?)", list(map(list, models)))

    def alone(view: str, run: str) -> str:
        return f"""SELECT {run} AS run, model, concept, {prompt} AS of_prompt, seed,
            any_value(shard) AS shard, any_value(key) AS key, any_value({MERIT}) AS merit
            FROM {view} WHERE status = '{OK}' AND seed IS NOT NULL AND concept IS NOT NULL
            GROUP BY ALL HAVING count(*) = 1"""

    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE pairs AS
        SELECT c.run, c.model, c.concept, c.shard, c.key, c.merit, b.shard AS old_shard,
            b.key AS old_key, b.merit AS old_merit
        FROM ({alone("rows", "run")}) c
        JOIN held ON held.run = c.run AND held.new = c.model
        JOIN ({alone("baseline", "0")}) b ON b.model = held.old AND b.concept = c.concept
            AND b.of_prompt = c.of_prompt AND b.seed = c.seed"""
    )
    [(n,)] = connection.execute("SELECT count(*) FROM pairs").fetchall()
    return n


def _keep(
    kept: dict[Sample, dict[str, str]], kind: str, found: Iterable[_Candidate], n: int
) -> None:
    """Take `n` candidates, of each model different concepts as far as there are; a sample that was
    taken for another reason has one more, and takes no place of this kind."""
    waiting, cells, taken = list(found), set[tuple[int, str, str]](), 0
    for is_choosy in (True, False):
        for each in list(waiting):
            if taken == n:
                return
            cell = (each.run, each.model, each.concept)
            if is_choosy and cell in cells:
                continue
            waiting.remove(each)
            cells.add(cell)
            taken += each.sample not in kept
            kept.setdefault(each.sample, {})[kind] = each.reason


def _extremes(connection: duckdb.DuckDBPyConnection, end: str, n: int) -> list[_Candidate]:
    """The best or worst samples of each model."""
    word, order = {"min": ("lowest", "-merit"), "max": ("highest", "merit")}[end]
    return [
        _Candidate(*sample, f"{word} score of {sample[-1]}: number {rank} of {n_of_model:,}")
        for sample, _, rank, n_of_model in _firsts(connection, "scored", "merit", order, n)
    ]


def _changed(connection: duckdb.DuckDBPyConnection, n: int) -> list[_Candidate]:
    """The samples of each model that are farthest from the baseline's."""
    change = "merit - old_merit"
    return [
        _Candidate(*sample, f"score {signed(by, 3)} against the baseline's same seed")
        for sample, by, _, _ in _firsts(connection, "pairs", change, f"abs({change})", n)
    ]


def _undecided(
    connection: duckdb.DuckDBPyConnection, masks: Sequence[str], n: int
) -> list[_Candidate]:
    """The samples of each model whose scores, or whose foreground, hang most on the mask."""
    if masks:
        spread = " + ".join(f"coalesce({_spread(score, masks)}, 0)" for score in ("cp", "pf"))
        listed = ", ".join(["given", *masks])
        return [
            _Candidate(*sample, f"CP and PF move by {by:.3f} together between its masks: {listed}")
            for sample, by, _, _ in _firsts(connection, "scored", spread, spread, n, 0)
        ]
    rounding = "n_fg_patches / nullif(n_patches, 0) - fg_fraction"
    return [
        _Candidate(
            *sample,
            f"its foreground is {100 * by:+.1f} % of the image by patches against by pixels: an "
            "edge that the patch grid rounds (the run has no second mask to hold it against)",
        )
        for sample, by, _, _ in _firsts(connection, "scored", rounding, f"abs({rounding})", n, 0)
    ]


def _spread(score: str, masks: Sequence[str]) -> str:
    values = ", ".join(value_of(name) for name in (score, *(f"{score}@{m}" for m in masks)))
    return f"greatest({values}) - least({values})"


def _firsts(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    value: str,
    order: str,
    n: int,
    above: float = -math.inf,
) -> list[tuple[tuple[int, str, str, str, str], float, int, int]]:
    """The rows of each model with the largest `order`, all first ones before all second ones.

    Args:
        value, order: SQL of a row's value, and of what it is ordered by.
        n: places for them.
        above: `order` is more than this.

    Returns:
        Run, shard, key, concept and model; the row's value; which it is of its model; and of how
        many.
    """
    found = connection.execute(
        f"""SELECT s.run, s.shard, s.key, s.concept, model, s.value, rank, n FROM (
            SELECT model, n, unnest(found) AS s, generate_subscripts(found, 1) AS rank FROM (
                SELECT model, count(*) AS n, arg_max({{'run': run, 'shard': shard, 'key': key,
                    'concept': concept, 'value': {value}, 'order': {order}}}, {order},
                    {SPARE * max(1, n)}) AS found
                FROM {source} WHERE {order} IS NOT NULL AND {order} > $above GROUP BY run, model
            )
        ) ORDER BY rank, s.order DESC, s.shard, s.key""",
        {"above": above},
    ).fetchall()
    return [
        ((run, shard, key, concept, model), value, rank, n_of_model)
        for run, shard, key, concept, model, value, rank, n_of_model in found
    ]


def _random(connection: duckdb.DuckDBPyConnection, seed: int, n: int) -> list[_Candidate]:
    """Samples by chance, the same for the same keys and seed."""
    found = connection.execute(
        f"""SELECT run, shard, key, concept, model FROM scored
        ORDER BY md5(concat_ws(' ', $seed, model, key)), shard LIMIT {SPARE * n}""",
        {"seed": str(seed)},
    ).fetchall()
    why = f"drawn by chance, seed {seed}"
    return [
        _Candidate(run, shard, key, concept, model, why)
        for run, shard, key, concept, model in found
    ]


def _cells(connection: duckdb.DuckDBPyConnection, n: int, has_pairs: bool) -> list[_Candidate]:
    """The concepts that cost each model most, each by the sample that is nearest to its mean."""
    per_cell, held_against = _cells_held(connection, has_pairs)
    found = connection.execute(
        f"""WITH cells AS (
            SELECT *, (expected - own) * n AS lost, row_number() OVER (
                PARTITION BY run, model ORDER BY (expected - own) * n DESC, concept) AS rank
            FROM ({per_cell}) WHERE expected > own ORDER BY rank, lost DESC, concept LIMIT {n}
        )
        SELECT s.run, s.shard, s.key, concept, model, own, expected, n FROM (
            SELECT concept, model, own, expected, n, rank, lost, arg_min(
                {{'run': run, 'shard': shard, 'key': key}}, abs(merit - own)) AS s
            FROM cells JOIN scored USING (run, model, concept) GROUP BY ALL
        ) ORDER BY rank, lost DESC, concept"""
    ).fetchall()
    return [
        _Candidate(
            *(run, shard, key, concept, model),
            f"nearest to the mean of {model} on {concept}: score {plain(own, 3)}, "
            f"{held_against} {plain(expected, 3)} (n = {n_own:,})",
        )
        for run, shard, key, concept, model, own, expected, n_own in found
    ]


def _cells_held(connection: duckdb.DuckDBPyConnection, has_pairs: bool) -> tuple[str, str]:
    """SQL of each cell's mean beside what was to be expected, and whose that is."""
    if has_pairs:
        return (
            """SELECT run, model, concept, count(*) AS n, avg(merit) AS own,
            avg(old_merit) AS expected FROM pairs
            WHERE merit IS NOT NULL AND old_merit IS NOT NULL GROUP BY run, model, concept""",
            ("the baseline's"),
        )
    cells = """SELECT run, model, concept, count(*) AS n, avg(merit) AS own FROM scored
        GROUP BY run, model, concept"""
    [(n_models,)] = connection.execute("SELECT count(DISTINCT (run, model)) FROM scored").fetchall()
    if n_models == 1:
        return f"SELECT *, avg(own) OVER () AS expected FROM ({cells})", "all its concepts'"
    of_others = "(sum(own) OVER same - own) / nullif(count(*) OVER same - 1, 0)"
    window = "WINDOW same AS (PARTITION BY concept)"
    return f"SELECT *, {of_others} AS expected FROM ({cells}) {window}", "the other models'"


def _rows_of(
    connection: duckdb.DuckDBPyConnection, samples: Sequence[Sample], has_pairs: bool
) -> dict[Sample, tuple[dict[str, Any], dict[str, Any] | None]]:
    """The rows of samples, and of each its partner's."""
    asked = pa.table(
        {
            "run": pa.array([run for run, _, _ in samples], pa.int64()),
            "shard": pa.array([shard for _, shard, _ in samples], pa.string()),
            "key": pa.array([key for _, _, key in samples], pa.string()),
        }
    )
    connection.register("asked", asked)
    rows = connection.sql("SELECT rows.* FROM rows SEMI JOIN asked USING (run, shard, key)")
    found = {(r["run"], r["shard"], r["key"]): r for r in rows.to_arrow_table().to_pylist()}
    partners: dict[Sample, dict[str, Any]] = {}
    if has_pairs:
        old = connection.sql(
            """SELECT asked.run AS of_run, asked.shard AS of_shard, asked.key AS of_key, baseline.*
            FROM asked JOIN pairs USING (run, shard, key)
            JOIN baseline ON baseline.shard = old_shard AND baseline.key = old_key"""
        ).to_arrow_table()
        partners = {
            (r.pop("of_run"), r.pop("of_shard"), r.pop("of_key")): r for r in old.to_pylist()
        }
    connection.unregister("asked")
    return {each: (found[each], partners.get(each)) for each in samples}


def _chosen(
    samples: Mapping[Sample, Mapping[str, str]],
    rows: Mapping[Sample, tuple[dict[str, Any], dict[str, Any] | None]],
) -> list[Chosen]:
    return [
        Chosen(each[0], rows[each][0], list(why), list(why.values()), rows[each][1])
        for each, why in samples.items()
    ]
