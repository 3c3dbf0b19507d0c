"""Whether a verdict stands before the end: rules, and a slice of `tests/benchmarks/early.py`."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.pipeline.results.comparison.early import EarlyRules, look
from jobs.pipeline.results.comparison.verdict import Verdict
from tests.benchmarks.early import simulate
from tests.benchmarks.error_rates import SYMMETRIC

pytestmark = pytest.mark.slow

RULES = EarlyRules({"cp": 1.0, "pf": 1.0})
ALTERNATING = np.resize([-0.1, 0.1], 40)


def test_a_large_drop_stands_as_soon_as_there_are_enough_concepts() -> None:
    means = {"cp": ALTERNATING - 8, "pf": ALTERNATING}
    too_few = {column: of[:9] for column, of in means.items()}
    enough = {column: of[:10] for column, of in means.items()}
    assert look(too_few, 40, RULES).verdict is None
    assert look(enough, 40, RULES).verdict is Verdict.REGRESSED


def test_ten_concepts_are_the_least_whatever_is_asked_for() -> None:
    rules = EarlyRules({"cp": 1.0}, min_concepts=2)
    assert look({"cp": ALTERNATING[:9] - 8}, 40, rules).verdict is None
    assert look({"cp": ALTERNATING[:10] - 8}, 40, rules).verdict is Verdict.REGRESSED


def test_one_column_that_regressed_is_enough_and_one_that_did_not_is_not() -> None:
    noise = 40 * ALTERNATING
    assert look({"cp": ALTERNATING - 8, "pf": noise}, 40, RULES).verdict is Verdict.REGRESSED
    assert look({"cp": ALTERNATING, "pf": noise}, 40, RULES).verdict is None


def test_what_is_lower_the_better_regresses_when_it_rises() -> None:
    rules = EarlyRules({"cp.leak": 1.0}, frozenset({"cp.leak"}))
    assert look({"cp.leak": ALTERNATING + 8}, 40, rules).verdict is Verdict.REGRESSED
    assert look({"cp.leak": ALTERNATING - 8}, 40, rules).verdict is Verdict.IMPROVED


def test_a_verdict_that_the_rest_of_the_night_may_change_does_not_stand() -> None:
    # Surely no drop of 1; but 0.15 above zero is an improvement once all concepts say so.
    little = np.resize([-0.35, 0.65], 40)
    assert look({"cp": little}, 40, EarlyRules({"cp": 1.0})).verdict is Verdict.SAME
    assert look({"cp": little}, 400, EarlyRules({"cp": 1.0})).verdict is None


def test_the_intervals_are_those_of_holms_first_step() -> None:
    found = look({"cp": 8 * ALTERNATING, "pf": ALTERNATING}, 40, RULES)
    assert found.concepts == 40
    assert RULES.level == 0.975
    # Eight times the differences, eight times the interval, about the same middle of zero.
    assert found.intervals["cp"].high == pytest.approx(8 * found.intervals["pf"].high)


@pytest.mark.parametrize("effects", SYMMETRIC)
def test_at_the_margin_few_nights_stop_with_a_regression(effects: str) -> None:
    found = simulate(150, SYMMETRIC[effects], cp=-1, pf=-1, deviation=4, nights=300)
    # 5 % are promised of a night, and 300 scatter by 1.3.
    assert found.regressed() <= 8
    assert found.alike() >= 93


@pytest.mark.parametrize(("concepts", "most"), [(150, 10), (40, 30)])
def test_a_large_drop_takes_few_concepts(concepts: int, most: float) -> None:
    found = simulate(concepts, SYMMETRIC["normal"], cp=-8, pf=0, deviation=4, nights=100)
    assert found.share() <= most
    assert found.alike() >= 98
