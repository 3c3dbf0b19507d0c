"""Which concepts changed: the moderated t, and how many of those named are false."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from jobs.pipeline.results.comparison.concepts import concept_changes, moderated, tag_changes
from jobs.pipeline.results.comparison.pairing import Differences
from jobs.pipeline.results.comparison.tags import TagDifferences


def differences_of(values: np.ndarray) -> Differences:
    """Of (G, prompts) differences, a pair a prompt."""
    concepts, prompts = values.shape
    return Differences(
        np.full(concepts, prompts),
        values.mean(1),
        np.zeros(concepts),
        values.var(1, ddof=1),
        np.full(concepts, 1 / prompts),
        np.full(concepts, prompts - 1),
    )


def test_variances_that_differ_by_chance_alone_are_taken_as_one() -> None:
    values = np.random.default_rng(1).normal(size=(300, 5))
    variance, df = moderated(values.var(1, ddof=1), np.full(300, 4))
    assert np.ptp(variance) == 0
    assert variance[0] == pytest.approx(1.0, rel=0.1)
    assert df[0] == 1_200


def test_variances_that_differ_are_drawn_towards_the_common_one_by_smyths_formula() -> None:
    # Each true variance is 4 * 0.5 / chi-square of 4: the prior has d0 = 4 and s0 squared = 0.5.
    rng = np.random.default_rng(1)
    true = 4 * 0.5 / rng.chisquare(4, 20_000)
    own = true * rng.chisquare(6, 20_000) / 6
    variance, df = moderated(own, np.full(20_000, 6))
    prior_df = df[0] - 6
    assert prior_df == pytest.approx(4, rel=0.1)
    slope, intercept = np.polyfit(own, variance, 1)
    assert slope == pytest.approx(6 / (6 + prior_df), rel=1e-6)
    assert intercept * (6 + prior_df) / prior_df == pytest.approx(0.5, rel=0.05)


def test_two_variances_stay_as_they_are() -> None:
    variance, df = moderated(np.array([1.0, 2.0]), np.array([3, 3]))
    assert (variance.tolist(), df.tolist()) == ([1.0, 2.0], [3, 3])


def test_with_two_concepts_p_is_the_plain_ts() -> None:
    values = np.random.default_rng(2).normal(0.5, 1, (2, 8))
    expected = stats.ttest_1samp(values, 0, axis=1).pvalue
    assert concept_changes(differences_of(values)).p == pytest.approx(expected, rel=1e-9)


def test_concepts_of_which_nothing_is_known_have_no_p_and_are_not_named() -> None:
    nothing = np.full(3, np.nan)
    found = concept_changes(
        Differences(np.ones(3, int), np.ones(3), nothing, nothing, np.ones(3), np.zeros(3))
    )
    assert np.isnan(found.p).all() and not found.named(0.05).any()


def test_no_difference_anywhere_names_nothing() -> None:
    found = concept_changes(differences_of(np.zeros((20, 6))))
    assert (found.p == 1).all() and not found.named(0.05).any()


def test_drops_in_a_tenth_of_the_concepts_are_found_and_few_others_named() -> None:
    # The paired noise is a quarter of the scores' variance; 9 prompts, 2 seeds.
    rng = np.random.default_rng(0)
    found = named = false = 0
    for _ in range(100):
        values = rng.normal(0, np.sqrt(0.25 / 2), (60, 9))
        values[:6] -= 0.5
        is_named = concept_changes(differences_of(values)).named(0.05)
        found += int(is_named[:6].sum())
        false += int(is_named[6:].sum())
        named += int(is_named.sum())
    assert found / 600 > 0.8
    assert false / named < 0.05


def test_a_tag_is_judged_over_its_concepts() -> None:
    rng = np.random.default_rng(5)
    tags = [TagDifferences(f"t{i}", 10, rng.normal(-i, 1, 15)) for i in range(3)]
    tested, estimates = tag_changes(tags)
    assert tested.named(0.05).tolist() == [False, True, True]
    for tag, estimate, p in zip(tags, estimates, tested.p, strict=True):
        assert estimate.mean == pytest.approx(tag.means.mean())
        assert p >= stats.ttest_1samp(tag.means, 0).pvalue * (1 - 1e-9)
