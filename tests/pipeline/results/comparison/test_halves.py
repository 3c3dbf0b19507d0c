"""A model held against itself: the floor, against scipy's t interval and by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from jobs.pipeline.results.comparison.comparing import Rules
from jobs.pipeline.results.comparison.halves import Floor, floor_of, margins_below
from jobs.pipeline.run.scores import open_scores
from tests.pipeline.results.test_summary import write_part

RULES = Rules(columns=["cp", "pf"], gate={"cp": 0.005, "pf": 0.005})


def floor(tmp_path: Path, rows: list[dict[str, Any]]) -> Floor:
    write_part(str(tmp_path / "run"), "part", rows)
    scores = open_scores([str(tmp_path / "run")]).select(
        ["prompt_id", "prompt", "seed", "cp", "pf"]
    )
    return floor_of(scores, "m", RULES)


def row(concept: int, seed: int | None, cp: float, **more: Any) -> dict[str, Any]:
    found = {"model": "m", "concept": f"c{concept:04d}", "prompt_id": "p", "prompt": "a c"}
    return {**found, "seed": seed, "cp": cp, "pf": 0.2, "status": "ok", **more}


def test_of_many_concepts_it_is_the_farther_end_of_ts_interval(tmp_path: Path) -> None:
    concepts = 1_000  # from which on the interval is t's alone
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.5, 0.05, (2, concepts))
    rows = [row(c, 7, first[c]) for c in range(concepts)]
    rows += [row(c, 9, second[c]) for c in range(concepts)]
    # Of another model and without a seed: neither takes part.
    rows += [row(0, 11, 9.0, model="other"), row(0, None, 9.0)]
    differences = first - second
    error = stats.sem(differences)
    # Two gated columns, so Holm's first level is 97.5 %.
    interval = stats.t.interval(0.975, concepts - 1, differences.mean(), error)
    found = floor(tmp_path, rows)
    assert found.columns["cp"] == pytest.approx(math.sqrt(0.5) * max(map(abs, interval)))
    assert found.columns["pf"] == 0
    assert found.note == ""


def test_seeds_go_to_the_halves_in_turn_within_each_prompt(tmp_path: Path) -> None:
    """Whatever the seeds are: two of one sort would make halves that differ by 1."""
    rows = []
    for concept in range(12):
        for seed, cp in ((5, 0.0), (6, 1.0), (70, 0.0), (800, 1.0)):
            rows.append(row(concept, seed + concept, cp))
    # Ranks 1 and 3 are 0, ranks 2 and 4 are 1: each half is of one value, and all concepts agree.
    assert floor(tmp_path, rows).columns["cp"] == pytest.approx(math.sqrt(0.5))


def test_what_cannot_be_halved_has_no_floor_and_says_why(tmp_path: Path) -> None:
    one_seed = [row(c, 0, 0.5) for c in range(12)]
    assert floor(tmp_path / "a", one_seed) == Floor(
        {}, "no prompt has two seeds, so there is no floor"
    )
    few = [row(c, s, 0.5) for c in range(9) for s in (0, 1)]
    assert floor(tmp_path / "b", few) == Floor({}, "9 concepts have two seeds, 10 are needed")


def test_a_margin_at_the_floor_is_enough() -> None:
    assert margins_below({"cp": 0.004, "pf": 0.006}, {"cp": 0.004, "pf": 0.005, "x": 0.1}) == ["pf"]
