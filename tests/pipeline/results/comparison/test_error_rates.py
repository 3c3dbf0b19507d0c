"""How often the verdict is wrong and how often it sees: a slice of `tests/benchmarks`."""

from __future__ import annotations

import pytest

from jobs.pipeline.results.comparison.verdict import Verdict
from tests.benchmarks.error_rates import (
    SYMMETRIC,
    concepts_found,
    mean_detectable_effect,
    power,
    rates,
)

DRAWS = 300
MOST_WRONG = 4.5
"""Per cent: 2.5 and twice what 300 draws scatter by."""


@pytest.mark.parametrize("pairs", ["all", "unequal"])
@pytest.mark.parametrize("concepts", [12, 60])
@pytest.mark.parametrize("effects", SYMMETRIC)
def test_without_a_difference_few_columns_regress(effects: str, concepts: int, pairs: str) -> None:
    found = rates(concepts, SYMMETRIC[effects], pairs, DRAWS)
    assert found[Verdict.REGRESSED] <= MOST_WRONG


def test_at_the_margin_few_columns_are_called_the_same() -> None:
    found = rates(60, SYMMETRIC["normal"], "all", DRAWS, mean=-0.01, margin=0.01)
    assert found[Verdict.SAME] + found[Verdict.IMPROVED] <= MOST_WRONG


def test_a_drop_of_one_mde_beyond_the_margin_regresses_in_four_of_five() -> None:
    assert 73 <= power(60, SYMMETRIC["normal"], DRAWS) <= 87


def test_without_a_difference_a_margin_of_an_mde_and_a_half_is_kept() -> None:
    margin = 1.5 * mean_detectable_effect(60, SYMMETRIC["normal"], 50)
    found = rates(60, SYMMETRIC["normal"], "all", 100, margin=margin)
    assert found[Verdict.SAME] + found[Verdict.IMPROVED] >= 90


def test_concepts_that_dropped_are_found_and_few_others_named() -> None:
    found, false = concepts_found(noise=0.15, draws=50)
    assert found >= 75
    assert false <= 5
