"""How often the intervals hold the truth: a slice of `tests/benchmarks`."""

from __future__ import annotations

import pytest

from tests.benchmarks.analysis_coverage import CLUSTERED, agreement_held, auc_held

DRAWS = 300
LEAST, MOST = 91.5, 98.5
"""Per cent: 93 and 97, and what 300 draws scatter by beside the 1,000 of the benchmark."""


@pytest.mark.parametrize(("subjects", "each"), [(50, 20), (100, 1)])
def test_without_clusters_both_intervals_of_an_auc_hold_and_agree(subjects: int, each: int) -> None:
    delong, by_subject, wider = auc_held(subjects, each, 0.0, DRAWS)
    assert LEAST <= delong <= MOST
    assert LEAST <= by_subject <= MOST
    assert wider == pytest.approx(1, abs=0.06)


@pytest.mark.slow
def test_with_clusters_that_over_subjects_holds_and_delongs_does_not() -> None:
    delong, by_subject, _ = auc_held(50, 20, CLUSTERED, DRAWS)
    assert LEAST <= by_subject <= MOST
    assert delong < 70


@pytest.mark.slow
def test_the_intervals_of_an_agreement_hold() -> None:
    for share in agreement_held(40, 9, draws=100):
        assert 89 <= share <= 99.5
