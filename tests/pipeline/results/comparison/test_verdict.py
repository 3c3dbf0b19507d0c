"""The word, the level that it is decided at, and what could have been seen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from jobs.pipeline.results.comparison.verdict import (
    Decision,
    Gated,
    Verdict,
    concepts_needed,
    decide,
    effect_size,
    sign_flip_p,
    worst,
)
from jobs.pipeline.results.intervals import MANY, Estimate, estimate_mean

SAME, UNDECIDED = Verdict.SAME, Verdict.UNDECIDED
IMPROVED, REGRESSED = Verdict.IMPROVED, Verdict.REGRESSED


def estimate_of(values: Sequence[float] | np.ndarray) -> Estimate:
    means = np.array(values)
    return estimate_mean(means, np.ones(len(means)))


def spread(mean: float, error: float, concepts: int = 20) -> Estimate:
    """An estimate with this mean and standard error, of which t's interval decides."""
    return Estimate(mean, error, concepts, np.empty(0), resamples=0)


def decided(mean: float, margin: float, lower_is_better: bool = False) -> Decision:
    """Of an interval that reaches 2.093 to either side: t of 19 degrees, 97.5 %."""
    return decide({"cp": Gated(spread(mean, 1.0), margin, lower_is_better)})["cp"]


@pytest.mark.parametrize(
    ("mean", "margin", "verdict"),
    [
        (2.2, 1.0, IMPROVED),
        (2.0, 1.0, SAME),
        (0.0, 2.2, SAME),
        (0.0, 2.0, UNDECIDED),
        (-2.0, 0.0, UNDECIDED),
        (-2.2, 0.0, REGRESSED),
        (-3.2, 1.0, REGRESSED),
        (-3.0, 1.0, UNDECIDED),
    ],
)
def test_the_word_is_where_the_interval_lies(mean: float, margin: float, verdict: str) -> None:
    found = decided(mean, margin)
    assert found.verdict == verdict
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (mean - 2.093, mean + 2.093), abs=1e-3
    )
    assert bool(found.reason) == (verdict is UNDECIDED)
    # Where a rise is the bad news all is the other way round.
    assert decided(-mean, margin, lower_is_better=True).verdict == verdict


def test_no_difference_anywhere_is_the_same_at_any_margin() -> None:
    for margin in (0.0, 0.01):
        found = decide({"cp": Gated(estimate_of(np.zeros(12)), margin)})["cp"]
        assert found.verdict is SAME
        assert (found.interval.low, found.interval.high) == (0, 0)


def test_with_few_concepts_the_data_cannot_decide() -> None:
    for values in ([-0.5, -0.51, -0.49], np.zeros(9), [0.3], []):
        found = decide({"cp": Gated(estimate_of(values), 0.01)})["cp"]
        assert found.verdict is UNDECIDED
        assert "10 are needed" in found.reason
    assert (
        decide({"cp": Gated(estimate_of(np.zeros(9)), 0.01)}, min_concepts=9)["cp"].verdict is SAME
    )


def test_holm_gives_the_surest_column_the_widest_interval() -> None:
    # p at the margin of 0.002, 0.03, 0.2: the first at 1 - 0.05 / 3 and the second at 1 - 0.05 / 2
    # stands, as it does not at p of 0.03; so all others stay there.
    gated = {
        name: Gated(spread(stats.t.ppf(p / 2, 19), 1.0), 0.0)
        for name, p in (("b", 0.2), ("a", 0.002), ("c", 0.03))
    }
    found = decide(gated)
    assert list(found) == ["b", "a", "c"]
    assert [found[name].verdict for name in "abc"] == [REGRESSED, UNDECIDED, UNDECIDED]
    levels = [found[name].level for name in "abc"]
    assert levels == pytest.approx([1 - 0.05 / 3, 0.975, 0.975])
    half = stats.t.ppf(0.9875, 19)
    mean = gated["c"].estimate.mean
    assert found["c"].interval.high == pytest.approx(mean + half, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_holm_rejects_what_the_textbook_rejects(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.uniform(0, 0.06, 5)
    gated = {str(i): Gated(spread(stats.t.ppf(each / 2, 19), 1.0), 0.0) for i, each in enumerate(p)}
    regressed = [each.verdict is REGRESSED for each in decide(gated).values()]
    expected, stopped = [False] * 5, False
    for rank, place in enumerate(np.argsort(p)):
        stopped = stopped or p[place] > 0.05 / (5 - rank)
        expected[place] = not stopped
    assert regressed == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([SAME, IMPROVED, UNDECIDED, REGRESSED], REGRESSED),
        ([SAME, IMPROVED, UNDECIDED], UNDECIDED),
        ([SAME, IMPROVED], IMPROVED),
        ([SAME, SAME], SAME),
        ([], UNDECIDED),
    ],
)
def test_the_whole_is_as_bad_as_its_worst(words: list[Verdict], expected: Verdict) -> None:
    for order in itertools.permutations(words):
        assert worst(order) is expected


def test_the_error_and_ts_interval_are_scipys() -> None:
    values = np.random.default_rng(0).normal(0.01, 0.1, 40)
    estimate = estimate_of(values)
    assert estimate.standard_error == pytest.approx(stats.sem(values), rel=1e-9)
    [of_many] = [estimate_of(np.random.default_rng(1).normal(size=MANY))]
    expected = stats.t.interval(0.975, MANY - 1, of_many.mean, of_many.standard_error)
    interval = of_many.interval(0.975)
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-9)


def test_p_is_one_minus_the_level_of_the_interval_that_ends_there() -> None:
    skewed = estimate_of(np.random.default_rng(3).lognormal(size=25))
    for at in (0.5, 1.0, 3.0, 4.0):
        p = skewed.p_value(at)
        interval = skewed.interval(1 - p)
        assert min(abs(interval.low - at), abs(interval.high - at)) < 1e-2
    t = spread(0.3, 0.2)
    assert t.p_value() == pytest.approx(2 * stats.t.sf(1.5, 19), rel=1e-9)
    assert (t.p_value(t.mean), estimate_of(np.ones(4)).p_value()) == (1.0, 0.0)
    assert math.isnan(estimate_of([1.0]).p_value())


@pytest.mark.parametrize(("concepts", "level"), [(12, 0.95), (60, 0.975)])
def test_the_detectable_effect_is_the_noncentral_ts(concepts: int, level: float) -> None:
    estimate = spread(0.0, 0.01, concepts)
    effect = estimate.minimum_detectable_effect(level)
    below, above = estimate.critical(level)
    assert below == above == pytest.approx(stats.t.ppf((1 + level) / 2, concepts - 1))
    power = stats.nct.sf(above, concepts - 1, effect / 0.01)
    assert power == pytest.approx(0.8, abs=1e-6)


def test_needed_concepts_are_the_fewest_that_detect_the_effect() -> None:
    for effect in (0.2, 0.4, 1.0):
        n = concepts_needed(1.0, effect, 0.975)

        def power(concepts: int, effect: float = effect) -> float:
            df = concepts - 1
            return float(stats.nct.sf(stats.t.ppf(0.9875, df), df, effect * math.sqrt(concepts)))

        assert power(n - 1) < 0.8 <= power(n)
    assert concepts_needed(1.0, 0.0, 0.95) == 1_000_000
    assert concepts_needed(0.0, 0.1, 0.95) == 2


def test_signs_are_flipped_as_by_hand_and_as_in_scipy() -> None:
    # Of the 8 sign patterns of 1, 2, 4 two are as far off as 7: all plus and all minus.
    assert sign_flip_p(np.array([1.0, 2.0, 4.0])) == 2 / 8
    # 1 + 2 - 4 = -1 and its opposite are the least far off.
    assert sign_flip_p(np.array([1.0, 2.0, -4.0])) == 1.0
    values = np.random.default_rng(0).normal(0.4, 1, 11)
    flips = np.array(list(itertools.product([-1, 1], repeat=11))) @ values
    exact = float((np.abs(flips) >= abs(values.sum()) - 1e-12).mean())
    assert sign_flip_p(values) == pytest.approx(exact)
    assert sign_flip_p(np.zeros(5)) == 1.0


def test_the_effect_size_is_in_standard_deviations_of_concepts() -> None:
    assert effect_size(np.array([1.0, 2.0, 3.0])) == 2.0
    assert math.isnan(effect_size(np.array([1.0, 1.0])))
