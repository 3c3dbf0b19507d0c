"""How an interval narrowed, look by look: of what `run.json` says, for pictures of it."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.pipeline.results.comparison.narrowing import in_words, narrowings, picture

LOOKS: list[dict[str, Any]] = [
    {"against": "a", "shards": 1, "concepts": 1, "verdict": None, "columns": {"cp": [None] * 3}},
    {"against": "a", "shards": 2, "concepts": 4, "columns": {"cp": [-0.8, -0.3, 0.2]}},
    {"against": "b", "shards": 2, "concepts": 4, "columns": {"cp": [-0.9, 0.0, 0.9]}},
    {
        "against": "a",
        "shards": 3,
        "concepts": 6,
        "verdict": "regressed",
        "columns": {"cp": [-0.5, -0.3, -0.1]},
    },
]
DESCRIBED = {"early": {"against": ["a", "b"], "margins": {"cp": 0.05}, "looks": LOOKS}}


def test_each_baseline_and_column_has_its_looks_in_order() -> None:
    first, second = narrowings(DESCRIBED)
    assert (first.column, first.against, first.margin) == ("cp", "a", 0.05)
    assert (first.shards, first.concepts) == ([1, 2, 3], [1, 4, 6])
    assert first.low == [None, -0.8, -0.5]
    assert first.high == [None, 0.2, -0.1]
    assert (first.verdict, second.verdict) == ("regressed", None)
    assert second.concepts == [4]


def test_the_last_look_in_words() -> None:
    first, second = narrowings(DESCRIBED)
    assert in_words(first) == (
        "cp -0.3000 [-0.5000, -0.1000] after 6 concepts, margin 0.05; "
        "the night's verdict: regressed"
    )
    assert in_words(second).endswith("after 4 concepts, margin 0.05")


def test_the_picture_has_one_scale_and_says_where_margin_and_zero_are() -> None:
    first, _ = narrowings(DESCRIBED)
    # Of the last look, from -0.5 to zero in steps of 0.05: the first one's ends lie off it.
    assert picture(first, width=11) == [
        "      4 ----+----!0",
        "      6 [---+---]!0",
    ]


@pytest.mark.parametrize(
    "described",
    [
        None,
        {},
        {"early": None},
        {"early": {"against": ["a"], "margins": {}, "looks": LOOKS}},
        {"early": {"against": ["a"], "margins": {"cp": 0.1}, "looks": [{"against": "a"}, 3]}},
    ],
)
def test_a_run_that_was_not_looked_at_has_none(described: dict[str, Any] | None) -> None:
    assert narrowings(described) == []
