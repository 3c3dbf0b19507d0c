"""Fleiss' kappa against his own example, and where it is not defined."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jobs.pipeline.results.agreement.kappa import fleiss_kappa

PSYCHIATRIC_DIAGNOSES = """
0 0 0 6 0 | 0 3 0 0 3 | 0 1 4 0 1 | 0 0 0 0 6 | 0 3 0 3 0 | 2 0 4 0 0 | 0 0 4 0 2 | 2 0 3 1 0
2 0 0 4 0 | 0 0 0 0 6 | 1 0 0 5 0 | 1 1 0 4 0 | 0 3 3 0 0 | 1 0 0 5 0 | 0 2 0 3 1 | 0 0 5 0 1
3 0 0 1 2 | 5 1 0 0 0 | 0 2 0 4 0 | 1 0 2 0 3 | 0 0 0 0 6 | 0 1 0 5 0 | 0 2 0 1 3 | 2 0 0 4 0
1 0 0 4 1 | 0 5 0 1 0 | 4 0 0 0 2 | 0 2 0 4 0 | 1 0 5 0 0 | 0 0 0 0 6
"""
"""Fleiss 1971, table 1: of 30 patients, how many of six psychiatrists gave each of five."""


def test_the_example_of_the_paper() -> None:
    rows = PSYCHIATRIC_DIAGNOSES.replace("\n", " | ").split("|")
    counts = np.array([[int(n) for n in row.split()] for row in rows if row.strip()])
    assert counts.shape == (30, 5) and (counts.sum(1) == 6).all()
    samples = np.repeat(np.arange(30), 6)
    values = np.concatenate([np.repeat(np.arange(5.0), row) for row in counts])
    assert round(fleiss_kappa(samples, values), 3) == 0.430


@pytest.mark.parametrize(
    ("samples", "what"),
    [([0, 0, 1], "a gap"), ([0, 1, 2], "one rating each"), ([], "nothing")],
)
def test_raters_who_are_not_complete_have_none(samples: list[int], what: str) -> None:
    assert fleiss_kappa(np.array(samples, int), np.arange(float(len(samples)))) is None, what


def test_ratings_that_are_all_the_same_have_no_chance_to_be_held_against() -> None:
    assert math.isnan(fleiss_kappa(np.array([0, 0, 1, 1]), np.ones(4)))
