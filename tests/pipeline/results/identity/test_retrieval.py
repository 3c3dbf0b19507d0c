"""Mean average precision against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from jobs.pipeline.results.identity.retrieval import average_precisions


@pytest.mark.parametrize("levels", [2, 4, 10**6])
def test_of_each_query_it_is_scikit_learns_with_ties_too(levels: int) -> None:
    rng = np.random.default_rng(levels)
    queries = rng.integers(0, 40, 300)
    scores = rng.integers(0, levels, 300) / levels - 0.5
    is_within = rng.random(300) < 0.4
    found = average_precisions(queries, scores, is_within, 41)
    for query in range(41):
        own = queries == query
        if is_within[own].any() and not is_within[own].all():
            expected = average_precision_score(is_within[own], scores[own])
            assert found[query] == pytest.approx(expected, abs=1e-12)
        else:
            assert math.isnan(found[query])
    assert np.isnan(found).sum() < 8


def test_without_pairs_there_is_nothing_to_find() -> None:
    nothing = np.zeros(0)
    found = average_precisions(nothing.astype(int), nothing, nothing.astype(bool), 2)
    assert np.isnan(found).all()
