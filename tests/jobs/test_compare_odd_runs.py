"""`python -m jobs.compare` of runs and calls that are not as they should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.jobs.test_compare import compare, drop_cp, rows_of, write_run


def compared(*words: str) -> dict[str, Any]:
    done = compare(*words, "--json")
    assert done.stdout, done.stderr
    return {**json.loads(done.stdout), "exit": done.returncode}


def test_models_named_in_one_run_are_compared_that_way_round(tmp_path: Path) -> None:
    worse = rows_of("b", 1, change=drop_cp)
    run = write_run(tmp_path / "run", [*rows_of("a"), *worse, *rows_of("c", 2)])
    found = compared(f"baseline={run}", "baseline_model=b", "candidate_model=a")
    assert (found["exit"], found["verdict"]) == (0, "improved")
    assert (found["baseline"], found["candidate"]) == ("b", "a")
    found = compared(f"baseline={run}", "baseline_model=b")
    pairs = [(each["baseline"], each["candidate"]) for each in found["comparisons"]]
    assert pairs == [("b", "a"), ("b", "c")]
    done = compare(f"baseline={run}", "baseline_model=b", "candidate_model=b")
    assert (done.returncode, "name another" in done.stderr) == (1, True)
    done = compare(f"baseline={run}", "candidate_model=who")
    assert (done.returncode, "candidate_model=who: " in done.stderr) == (1, True)


def test_one_concept_with_pairs_is_undecided(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", rows_of("a"))
    new = write_run(tmp_path / "new", rows_of("b", 1, concepts=1))
    found = compared(f"baseline={old}", f"candidate={new}")
    assert (found["exit"], found["cp"]["p"], found["cp"]["ci"]) == (5, 1.0, [None, None])
    assert found["cp"]["reason"] == "1 concept with pairs, 10 are needed"
