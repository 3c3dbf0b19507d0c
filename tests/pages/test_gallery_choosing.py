"""Which samples are shown: rows whose best, worst and most changed are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from jobs.pages.gallery_choosing import Choice, choose, pair_with, places_of
from jobs.pages.gallery_items import BEST, CELL, CHANGED, RANDOM, UNDECIDED, WORST

Row = dict[str, Any]


def row(
    model: str, concept: str, seed: int, cp: float | None, pf: float | None, **more: Any
) -> Row:
    return {
        "run": 0, "key": f"{model}-{concept}-{seed}", "shard": f"{model}.tar", "model": model,
        "concept": concept, "prompt_id": None, "prompt": "p", "seed": seed, "status": "ok",
        "cp": cp, "pf": pf, "n_fg_patches": 50, "n_patches": 100, "fg_fraction": 0.5, **more,
    }  # fmt: skip


def rows_of(model: str, shift: float = 0.0) -> list[Row]:
    """Ten concepts of two seeds, each concept better than the one before."""
    return [
        row(model, f"c{i}", seed, 0.5 + 0.02 * i + 0.001 * seed + shift, 0.5)
        for i in range(10)
        for seed in (0, 1)
    ]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        yield connection


def view(connection: duckdb.DuckDBPyConnection, name: str, rows: list[Row]) -> None:
    connection.register(name, pa.Table.from_pylist(rows))


def shown(choice: Choice, kind: str) -> list[str]:
    return [each.row["key"] for each in choice.shown if kind in each.kinds]


def test_the_worst_and_best_of_each_model_come_first(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    # All of b is worse than all of a: its worst two do not take the places of a's worst.
    view(connection, "rows", rows_of("a") + rows_of("b", -0.4))
    choice = choose(connection, 16, 0, (), False)
    assert len(choice.shown) == 16
    assert shown(choice, WORST)[:2] == ["b-c0-0", "a-c0-0"]
    assert shown(choice, BEST)[:2] == ["a-c9-1", "b-c9-1"]
    reasons = {each.row["key"]: each.reasons for each in choice.shown}
    assert "lowest score of a: number 1 of 20" in reasons["a-c0-0"]


def test_what_has_no_score_is_not_shown_and_one_below_zero_is_worse_than_none(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = rows_of("a")
    rows += [row("a", "nan", 0, float("nan"), 0.5), row("a", "none", 0, None, None)]
    rows += [row("a", "error", 0, 0.1, 0.1, status="error")]
    # Their product is the largest of all.
    rows += [row("a", "both", 0, -0.9, -0.9)]
    view(connection, "rows", rows)
    choice = choose(connection, 40, 0, (), False)
    assert shown(choice, WORST)[0] == "a-both-0"
    assert "a-both-0" not in shown(choice, BEST)
    assert {each.row["concept"] for each in choice.shown}.isdisjoint({"nan", "none", "error"})


def test_partners_are_of_one_concept_prompt_and_seed(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    new, old = rows_of("new"), rows_of("old")
    new[6]["cp"] -= 0.3  # c3, seed 0
    new[7]["seed"] = None  # c3, seed 1: whose partner cannot be told
    new[9]["prompt"] = "another"
    old.append({**old[0], "key": "twice"})  # c0, seed 0, of which there are two now
    view(connection, "rows", new)
    view(connection, "baseline", old)
    assert pair_with(connection, [(0, "new", "old")], by_id=False) == 20 - 3
    choice = choose(connection, 24, 0, (), True)
    assert shown(choice, CHANGED)[0] == "new-c3-0"
    partners = {each.row["key"]: each.partner and each.partner["key"] for each in choice.shown}
    assert partners["new-c3-0"] == "old-c3-0"
    assert all(partners[k] is None for k in ("new-c3-1", "new-c4-1", "new-c0-0") if k in partners)
    [why] = [
        reason
        for each in choice.shown
        for kind, reason in zip(each.kinds, each.reasons, strict=True)
        if kind == CHANGED and each.row["key"] == "new-c3-0"
    ]
    assert why == "score -0.150 against the baseline's same seed"  # 0.3 x 0.5


def test_the_cells_that_cost_most_are_those_below_the_other_models(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = rows_of("a") + rows_of("b")
    for each in rows:
        if each["model"] == "a" and each["concept"] in ("c5", "c7"):
            each["cp"] -= 0.2 if each["concept"] == "c5" else 0.1
    view(connection, "rows", rows)
    choice = choose(connection, 8, 0, (), False)
    cells = [each for each in (*choice.shown, *choice.others) if CELL in each.kinds]
    # Nothing else is below what the other model has.
    assert sorted(each.row["concept"] for each in cells) == ["c5", "c7"]
    assert {each.row["model"] for each in cells} == {"a"}
    # (0.6 - 0.2 + 0.0005) / 2 against (0.6 + 0.0005) / 2
    [why] = [each.reasons[-1] for each in cells if each.row["concept"] == "c5"]
    assert "score 0.200, the other models' 0.300 (n = 2)" in why


def test_undecided_are_those_whose_scores_move_with_the_mask(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = [{**each, "cp@x": each["cp"], "pf@x": each["pf"]} for each in rows_of("a")]
    rows[5] |= {"cp@x": rows[5]["cp"] - 0.25, "pf@x": 0.6}
    rows[6] |= {"cp@x": float("nan"), "pf@x": None}
    view(connection, "rows", rows)
    choice = choose(connection, 8, 0, ("x",), False)
    [first, *_] = [each for each in choice.shown if UNDECIDED in each.kinds]
    assert first.row["key"] == "a-c2-1"
    assert any("move by 0.350 together" in reason for reason in first.reasons)


def test_without_a_second_mask_undecided_are_those_that_the_grid_rounds(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = rows_of("a")
    rows[9]["fg_fraction"] = 0.42
    view(connection, "rows", rows)
    choice = choose(connection, 8, 0, (), False)
    [first, *_] = [each for each in choice.shown if UNDECIDED in each.kinds]
    assert first.row["key"] == "a-c4-1"
    assert any("foreground is +8.0 % of the image" in reason for reason in first.reasons)


def test_chance_is_the_same_for_one_seed_and_another_for_another(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    view(connection, "rows", rows_of("a") + rows_of("b"))
    first, again, other = (
        shown(choose(connection, 24, seed, (), False), RANDOM) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("count", [0, 1, 2, 7, 24, 200])
def test_as_many_are_shown_as_there_are_places(
    connection: duckdb.DuckDBPyConnection, count: int
) -> None:
    view(connection, "rows", rows_of("a") + rows_of("b"))
    choice = choose(connection, count, 0, (), False)
    keys = [each.row["key"] for each in choice.shown]
    assert len(set(keys)) == len(keys) == min(count, 40)
    assert sum(places_of(count, False).values()) <= max(count, 1)
    assert not count or shown(choice, WORST)
    others = {each.row["key"] for each in choice.others}
    assert others.isdisjoint(keys)


def test_rows_of_no_score_at_all_show_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    view(connection, "rows", [row("a", "c", 0, float("nan"), 0.5)])
    assert choose(connection, 24, 0, (), False) == Choice([], [])
