"""Models that cannot be told apart: the letters, and whether they are right."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pipeline.results.groups import groups_of, letters
from jobs.pipeline.results.leaderboard import leaderboard, markdown
from jobs.pipeline.results.summary import summarise_run
from tests.pipeline.results.test_leaderboard import row, table_of
from tests.pipeline.results.test_summary import sample, write_part


def cells_of(
    cp: dict[str, float], concepts: int = 40, noise: float = 0.01, seed: int = 0
) -> pa.Table:
    """Of models with these mean CPs; all have concepts of the same difficulty, and the same PF."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 0.1, concepts)
    rows = [
        {
            "model": model,
            "concept": f"c{g:02d}",
            "cp_mean": mean + difficulty[g] + rng.normal(0, noise),
            "pf_mean": 0.2 + rng.normal(0, noise),
        }
        for model, mean in cp.items()
        for g in range(concepts)
    ]
    return pa.Table.from_pylist(rows)


def test_models_far_apart_have_letters_of_their_own_and_equal_ones_share() -> None:
    # Concepts differ by ten times as much as the models do: unpaired, nothing would be seen.
    table = cells_of({"best": 0.62, "same": 0.62, "worse": 0.60})
    assert groups_of(table, ["best", "same", "worse"]) == {"best": "a", "same": "a", "worse": "b"}


def test_equal_models_rarely_get_two_letters() -> None:
    names = [f"m{i}" for i in range(6)]
    apart = sum(
        len(set(groups_of(cells_of(dict.fromkeys(names, 0.6), 20, seed=seed), names).values())) > 1
        for seed in range(60)
    )
    assert apart <= 6  # 5 % are promised: 3 of 60


def test_a_difference_in_pf_alone_tells_models_apart() -> None:
    table = cells_of({"x": 0.6, "y": 0.6})
    pf = [
        value + (0.1 if model == "y" else 0)
        for model, value in zip(
            table["model"].to_pylist(), table["pf_mean"].to_pylist(), strict=True
        )
    ]
    table = table.set_column(3, "pf_mean", pa.array(pf))
    assert groups_of(table, ["y", "x"]) == {"y": "a", "x": "b"}


def test_too_few_concepts_and_a_single_model_have_no_groups() -> None:
    assert groups_of(cells_of({"x": 0.9, "y": 0.1}, concepts=9), ["x", "y"]) == {}
    assert groups_of(cells_of({"x": 0.9}), ["x"]) == {}


def test_models_without_all_concepts_are_compared_over_those_in_common() -> None:
    table = cells_of({"x": 0.7, "y": 0.6, "z": 0.6})
    gone = [
        m == "z" and c >= "c20"
        for m, c in zip(table["model"].to_pylist(), table["concept"].to_pylist(), strict=True)
    ]
    table = table.filter(pa.array([not each for each in gone]))
    assert groups_of(table, ["x", "y", "z"]) == {"x": "a", "y": "b", "z": "b"}


@given(
    st.integers(2, 7).flatmap(
        lambda n: st.tuples(
            st.just(n), st.sets(st.sampled_from(list(itertools.combinations(range(n), 2))))
        )
    )
)
def test_two_models_share_a_letter_exactly_where_they_do_not_differ(
    case: tuple[int, set[tuple[int, int]]],
) -> None:
    models, different = case
    found = letters(models, different)
    assert all(found)
    for pair in itertools.combinations(range(models), 2):
        first, second = (set(found[model]) for model in pair)
        assert bool(first & second) == (pair not in different)


def test_the_leaderboard_and_the_summary_show_them() -> None:
    table = table_of(row("good", cp_x_pf=0.3), row("poor"))
    groups = {"good": "a", "poor": "b"}
    assert leaderboard(table, (), groups).headers[:6] == [
        "#",
        "model",
        "n",
        "CP (95 % CI)",
        "PF (95 % CI)",
        "CP×PF",  # noqa: RUF001 - a product
    ]
    assert [cells[6] for cells in leaderboard(table, (), groups).rows] == ["a", "b"]
    assert "cannot be told apart" in markdown(table, (), groups)
    assert "group" not in markdown(table)
    run = "memory://groups"
    rows = [
        sample(model, f"c{g}", cp, 0.2) for model, cp in (("x", 0.9), ("y", 0.5)) for g in range(12)
    ]
    write_part(run, "part", rows)
    summary = summarise_run(run)
    assert summary.groups == {"x": "a", "y": "b"}
    assert summary.document()["groups"] == [
        {"model": "x", "group": "a"},
        {"model": "y", "group": "b"},
    ]


@pytest.mark.parametrize("models", [51, 80])
def test_of_very_many_models_there_are_no_groups(models: int) -> None:
    names = [str(i) for i in range(models)]
    assert groups_of(cells_of(dict.fromkeys(names, 0.5), 10), names) == {}
