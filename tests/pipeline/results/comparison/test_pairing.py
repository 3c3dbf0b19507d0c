"""How rows become pairs, against a join written as loops."""

from __future__ import annotations

import itertools
import random
import statistics
import time
from collections import defaultdict
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from jobs.pipeline.errors import CallError
from jobs.pipeline.results.comparison.pairing import PRODUCT, Pairs, Side, make_pairs
from jobs.pipeline.results.comparison.tags import tag_differences

Row = dict[str, Any]
NAN = float("nan")

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("model", "concept", "prompt_id", "prompt", "status")),
        ("seed", pa.int64()),
        ("cp", pa.float64()),
        ("pf", pa.float64()),
        ("extra", pa.string()),
    ]
)


def row(
    concept: str, prompt_id: str | None, seed: int | None, cp: float | None, **more: Any
) -> Row:
    known = {"model": "m", "status": "ok", "prompt": f"a {concept} at {prompt_id}", "pf": 0.5}
    return {**known, "concept": concept, "prompt_id": prompt_id, "seed": seed, "cp": cp, **more}


def connected(baseline: list[Row], candidate: list[Row]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for name, rows in (("baseline", baseline), ("candidate", candidate)):
        connection.register(name, pa.Table.from_pylist(rows, SCHEMA))
    return connection


BASELINE, CANDIDATE = Side("baseline", "m"), Side("candidate", "m")


def pairs_of(baseline: list[Row], candidate: list[Row], **kwargs: Any) -> Pairs:
    connection = connected(baseline, candidate)
    return make_pairs(connection, BASELINE, CANDIDATE, ["cp", "pf", PRODUCT], **kwargs)


def grid(seeds: tuple[int, ...], shift: float = 0.0, concepts: int = 3) -> list[Row]:
    return [
        row(f"c{g}", f"p{p}", s, 0.1 * g + 0.01 * p + 0.001 * s * (g + 1) + shift)
        for g, p, s in itertools.product(range(concepts), range(2), seeds)
    ]


def test_a_pair_has_one_concept_prompt_and_seed() -> None:
    found = pairs_of(grid((0, 1)), grid((0, 1, 2), 0.25))
    assert (found.level, found.n_pairs, found.n_unpaired) == ("seed", 12, (0, 6))
    assert found.concepts == ["c0", "c1", "c2"]
    assert found.n.tolist() == [4, 4, 4]
    assert found.columns["cp"].mean == pytest.approx([0.25] * 3)
    assert found.columns["cp"].baseline == pytest.approx([0.0055, 0.106, 0.2065])
    assert found.columns[PRODUCT].mean == pytest.approx([0.125] * 3)


def test_several_rows_of_one_key_are_averaged_on_either_side() -> None:
    once = [row("c", "p", 0, 0.5), row("c", "q", 0, 0.1)]
    thrice = [row("c", "p", 0, 0.2), row("c", "p", 0, 0.4), row("c", "p", 0, 0.9)]
    # p: the three have a mean of 0.5; q: 0.3 more. A mean over rows would be 0.075.
    for flip, (one, other) in enumerate(
        [(once, [*thrice, row("c", "q", 0, 0.4)]), ([*thrice, row("c", "q", 0, 0.4)], once)]
    ):
        found = pairs_of(one, other)
        assert found.n_pairs == 2
        assert found.columns["cp"].mean == pytest.approx([-0.15 if flip else 0.15])


def test_very_many_rows_of_one_key_are_averaged_in_a_moment() -> None:
    # Joined as they are, they would be ten thousand million.
    rows = [row("c", "p", 0, value % 2) for value in range(100_000)]
    began = time.monotonic()
    found = pairs_of(rows, [{**each, "cp": each["cp"] + 0.25} for each in rows])
    assert time.monotonic() - began < 20
    assert (found.n_pairs, found.n_unpaired) == (1, (0, 0))
    assert found.columns["cp"].mean == pytest.approx([0.25])


def test_rows_without_a_seed_or_a_prompt_are_of_one_key() -> None:
    found = pairs_of([row("c", None, None, 0.1)], [row("c", None, None, 0.4)], level="seed")
    assert found.columns["cp"].mean == pytest.approx([0.3])


def test_prompts_go_by_their_text_where_one_side_has_no_ids() -> None:
    candidate = [{**each, "prompt_id": None} for each in grid((0,), 0.1)]
    found = pairs_of(grid((0,)), candidate)
    assert (found.n_pairs, found.n_changed_prompts) == (6, 0)


def test_an_id_with_two_texts_is_a_pair_and_counted() -> None:
    candidate = grid((0,))
    candidate[0]["prompt"] = "something else"
    assert pairs_of(grid((0,)), candidate).n_changed_prompts == 1


def test_other_seeds_are_paired_by_prompt_and_other_prompts_by_concept() -> None:
    by_prompt = pairs_of(grid((0, 1)), grid((5, 6, 7), 0.1))
    assert (by_prompt.level, by_prompt.n_pairs, by_prompt.n_unpaired) == ("prompt", 6, (0, 0))
    elsewhere = [{**each, "prompt_id": f"{each['prompt_id']}x"} for each in grid((5,), 0.1)]
    by_concept = pairs_of(grid((0,)), elsewhere)
    assert (by_concept.level, by_concept.n_pairs) == ("concept", 3)
    assert by_concept.columns["cp"].df.tolist() == [0, 0, 0]
    assert pairs_of(grid((0,)), elsewhere, level="seed").n_pairs == 0


def test_a_side_that_lost_most_of_its_rows_is_still_paired_by_seed() -> None:
    found = pairs_of(grid(tuple(range(10))), grid((3,)))
    assert (found.level, found.n_pairs, found.n_unpaired) == ("seed", 6, (54, 0))


def test_rows_that_are_not_ok_or_have_no_value_make_no_difference() -> None:
    candidate = grid((0,), 0.1)
    candidate[0] |= {"status": "error", "cp": None}
    candidate[1]["cp"] = NAN
    candidate[2]["pf"] = None
    found = pairs_of(grid((0,)), candidate)
    assert (found.n_pairs, found.n_unpaired) == (5, (1, 0))
    assert [int(found.columns[name].n.sum()) for name in ("cp", "pf", PRODUCT)] == [4, 4, 3]
    assert found.columns["cp"].n.tolist() == [0, 2, 2]
    assert np.isnan(found.columns["cp"].mean[0])


def test_other_models_of_a_run_take_no_part() -> None:
    others = [{**each, "model": "other"} for each in grid((0,), 0.9)]
    found = pairs_of([*grid((0,)), *others], [*others, *grid((0,), 0.1)])
    assert found.columns["cp"].mean == pytest.approx([0.1] * 3)


def test_a_concepts_error_is_that_of_its_prompts_worked_out_by_hand() -> None:
    # Prompts' differences: 0.1 and 0.2 (p), 0.6 (q): mean 0.3. What the prompts add to it:
    # (0.3 - 2 * 0.3) / 3 and (0.6 - 0.3) / 3, squared 0.01 each; times 2 / (2 - 1).
    baseline = [row("c", "p", 0, 0.0), row("c", "p", 1, 0.0), row("c", "q", 0, 0.0)]
    candidate = [row("c", "p", 0, 0.1), row("c", "p", 1, 0.2), row("c", "q", 0, 0.6)]
    found = pairs_of(baseline, candidate).columns["cp"]
    assert found.mean == pytest.approx([0.3])
    assert found.variance * found.share == pytest.approx([0.04])
    assert found.df.tolist() == [1]


def test_of_one_prompt_the_error_is_that_of_its_pairs() -> None:
    values = [0.1, 0.4, 0.2, 0.25]
    baseline = [row("c", "p", seed, 0.0) for seed in range(4)]
    candidate = [row("c", "p", seed, value) for seed, value in enumerate(values)]
    found = pairs_of(baseline, candidate).columns["cp"]
    assert found.variance == pytest.approx([statistics.variance(values)])
    assert (found.share[0], found.df[0]) == (0.25, 3)


def test_means_are_those_of_a_join_written_as_loops() -> None:
    draw = random.Random(4)

    def rows() -> list[Row]:
        return [
            row(f"c{draw.randrange(6)}", f"p{draw.randrange(3)}", draw.randrange(3), draw.random())
            for _ in range(120)
        ]

    baseline, candidate = rows(), rows()
    values: list[dict[Any, list[float]]] = [defaultdict(list), defaultdict(list)]
    for side, its_rows in zip(values, (baseline, candidate), strict=True):
        for each in its_rows:
            side[each["concept"], each["prompt_id"], each["seed"]].append(each["cp"])
    differences: dict[str, list[float]] = defaultdict(list)
    for key in values[0].keys() & values[1].keys():
        means = [statistics.fmean(side[key]) for side in values]
        differences[key[0]].append(means[1] - means[0])
    found = pairs_of(baseline, candidate)
    assert found.n.tolist() == [len(differences[concept]) for concept in found.concepts]
    expected = [statistics.fmean(differences[concept]) for concept in found.concepts]
    assert found.columns["cp"].mean == pytest.approx(expected, rel=1e-12)


def test_tags_of_extra_have_the_differences_of_their_own_pairs() -> None:
    def tagged(rows: list[Row]) -> list[Row]:
        difficulty = {"p0": "easy", "p1": "hard"}
        for each in rows:
            tag = difficulty[each["prompt_id"]]
            each["extra"] = f'{{"difficulty": "{tag}", "a.b": {each["seed"]}}}'
        return rows

    candidate = [
        {**each, "cp": each["cp"] - (0.2 if each["prompt_id"] == "p1" else 0)}
        for each in grid((0, 1))
    ]
    connection = connected(tagged(grid((0, 1))), tagged(candidate))
    sides = BASELINE, CANDIDATE
    found = tag_differences(connection, *sides, ["cp"], "seed", "extra.difficulty")["cp"]
    assert [(tag.tag, tag.n) for tag in found] == [("easy", 6), ("hard", 6)]
    assert found[0].means == pytest.approx([0, 0, 0], abs=1e-12)
    assert found[1].means == pytest.approx([-0.2] * 3)
    assert [
        tag.tag for tag in tag_differences(connection, *sides, ["cp"], "seed", "extra.a.b")["cp"]
    ] == ["0", "1"]
    with pytest.raises(CallError, match="no pair has a value"):
        tag_differences(connection, *sides, ["cp"], "seed", "extra.nothing")
    with pytest.raises(CallError, match=r"extra\.NAME"):
        tag_differences(connection, *sides, ["cp"], "seed", "model")
