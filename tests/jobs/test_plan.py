"""`python -m jobs.plan`, as it is called."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.pipeline.command.call import run_command
from jobs.pipeline.planning import PlanConfig
from jobs.plan import plan_command
from tests.commands import Run, command
from tests.pipeline.results.test_summary import write_part

pytestmark = pytest.mark.slow

CONCEPT, PROMPT, SEED = 0.08, 0.05, 0.03
"""Standard deviations of the scores."""


def rows_of(seeds: range, noise: int = 0, interaction: float = 0.0, model: str = "m") -> list[dict]:
    """Of 60 concepts and 8 prompts, whose own parts are the same in every run."""
    shared, own = np.random.default_rng(0), np.random.default_rng(noise + 100)
    rows = []
    for g in range(60):
        of_concept = shared.normal(0, CONCEPT)
        of_run = own.normal(0, interaction) if interaction else 0.0
        for p in range(8):
            of_prompt = shared.normal(0, PROMPT)
            for seed in seeds:
                row: dict[str, Any] = {"model": model, "concept": f"c{g:02d}", "status": "ok"}
                row |= {"prompt_id": f"p{p}", "seed": seed}
                row["cp"] = 0.6 + of_concept + of_prompt + of_run + own.normal(0, SEED)
                row["pf"] = 0.3 + own.normal(0, SEED)
                rows.append(row)
    return rows


def write_run(run: Path, rows: list[dict], described: Any = None, dtype: str = "float32") -> Path:
    write_part(str(run), "part", rows, json.dumps({"fingerprint": {"encoder.dtype": dtype}}))
    if described is not None:
        (run / "run.json").write_text(json.dumps(described))
    return run


def plan(*words: str) -> Run:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run_command("plan", PlanConfig, plan_command, list(words))
    return Run([*words], status, out.getvalue(), err.getvalue())


def planned(*words: str) -> dict[str, Any]:
    done = plan(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_one_run_tells_the_variances_of_its_scores(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", rows_of(range(4)))
    found = planned(f"run={run}")
    variances = found["cp"]["variance_of_scores"]
    assert variances["concept"] == pytest.approx(CONCEPT**2, rel=0.4)
    assert variances["prompt"] == pytest.approx(PROMPT**2, rel=0.15)
    assert variances["seed"] == pytest.approx(SEED**2, rel=0.1)
    # Of a pair only the seeds' are left, of either run.
    assert found["cp"]["variance"]["seed"] == pytest.approx(2 * variances["seed"])
    assert found["cp"]["variance"]["concept"] == 0
    assert found["method"] == "REML"
    assert found["run"] == {"concepts": 60, "prompts": 8, "seeds": 4, "images": 1920}


def test_two_runs_tell_how_concepts_differ_between_models(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", rows_of(range(4)))
    new = write_run(tmp_path / "new", rows_of(range(4), noise=1, interaction=0.02))
    found = planned(f"run={new}", f"baseline={old}", "effect=0.005")
    variance = found["cp"]["variance"]
    assert variance["concept"] == pytest.approx(0.02**2, rel=0.4)
    assert variance["prompt"] < 0.1 * PROMPT**2
    assert variance["seed"] == pytest.approx(2 * SEED**2, rel=0.1)
    assert found["paired_by"] == "seed"
    # 0.02 between concepts alone takes about (3.15 * 0.02 / 0.005)^2 of them.
    assert 120 < min(each["concepts"] for each in found["cp"]["designs"]) < 260


def test_an_aa_pair_proposes_margins_that_another_aa_pair_keeps(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / f"run-{number}", rows_of(range(2 * number, 2 * number + 2), number))
        for number in range(4)
    ]
    found = planned(f"run={runs[1]}", f"baseline={runs[0]}")
    assert found["paired_by"] == "prompt"
    margins = found["margin"]
    assert set(margins) == {"cp", "pf"}
    # Half as much again as 3.19 errors of 2 * 0.03^2 / (60 * 8 * 2).
    error = (2 * SEED**2 / 960) ** 0.5
    assert margins["cp"] == pytest.approx(1.5 * 3.19 * error, rel=0.35)
    gate = [f"gate.{name}={margin}" for name, margin in margins.items()]
    done = command("compare", f"baseline={runs[2]}", f"candidate={runs[3]}", *gate)
    assert done.returncode == 0, done.stdout + done.stderr


def test_runs_that_differ_propose_no_margin(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", rows_of(range(2)))
    worse = [{**row, "cp": row["cp"] - 0.1} for row in rows_of(range(2), 1)]
    found = planned(f"run={write_run(tmp_path / 'new', worse)}", f"baseline={old}")
    assert found["cp"]["margin"] is None
    assert list(found["margin"]) == ["pf"]


def test_rows_of_one_seed_are_one_score(tmp_path: Path) -> None:
    rows = rows_of(range(4))
    once = planned(f"run={write_run(tmp_path / 'once', rows)}")
    twice = planned(f"run={write_run(tmp_path / 'twice', rows * 2)}")
    # Without seeds each row is a score of its own.
    seedless = write_run(tmp_path / "seedless", [{**row, "seed": None} for row in rows])
    for found in (twice, planned(f"run={seedless}")):
        assert found["run"] == once["run"]
        variances = once["cp"]["variance_of_scores"]
        assert found["cp"]["variance_of_scores"] == pytest.approx(variances, rel=1e-4)


def test_what_no_two_samples_tell_is_not_planned_with(tmp_path: Path) -> None:
    rows = [row for row in rows_of(range(1)) if row["prompt_id"] == "p0"]
    run = write_run(tmp_path / "run", rows)
    found = planned(f"run={run}")["cp"]
    assert (found["variance"], found["mde"], found["designs"]) == (None, None, [])
    assert "the rows do not tell: no two samples of a concept differ" in plan(f"run={run}").stdout
    itself = plan(f"run={run}", f"baseline={run}").stdout
    assert "no two scores of the two runs differ" in itself
    assert "no A/A pair" not in itself


def test_runs_scored_in_different_ways_are_no_pair(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", rows_of(range(2)))
    other = write_run(tmp_path / "other", rows_of(range(2), 1), dtype="bfloat16")
    done = plan(f"run={run}", f"baseline={other}")
    assert done.returncode == 1
    assert "encoder.dtype is 'bfloat16', there 'float32'" in done.stderr


def test_a_run_without_models_and_odd_records_of_workers(tmp_path: Path) -> None:
    odd = {"workers": [{"samples": 10, "waiting": None, "scoring": "x"}]}
    run = write_run(tmp_path / "run", rows_of(range(2)), odd)
    assert planned(f"run={run}")["gpu_seconds_per_image"] is None
    none = write_run(tmp_path / "none", [{**row, "model": None} for row in rows_of(range(1))])
    done = plan(f"run={none}")
    assert (done.returncode, "no row of it names a model" in done.stderr) == (1, True)


def test_an_image_that_two_passes_scored_costs_what_both_took(tmp_path: Path) -> None:
    first = {"samples": 100, "waiting": 1.0, "scoring": 4.0, "pass": 1}
    second = {"samples": 200, "waiting": 0.0, "scoring": 2.0, "pass": 2}
    run = write_run(tmp_path / "run", rows_of(range(2)), {"workers": [first, first, second]})
    # (5 + 5) / 200 in the one, 2 / 200 in the other.
    assert planned(f"run={run}")["gpu_seconds_per_image"] == pytest.approx(0.06)


def test_costs_and_the_curve(tmp_path: Path) -> None:
    workers = [{"samples": 960, "waiting": 4.0, "scoring": 44.0, "device": "cuda:0"}] * 2
    run = write_run(tmp_path / "run", rows_of(range(4)), {"workers": workers})
    out = tmp_path / "out"
    words = (f"run={run}", f"out={out}", "dollars_per_gpu_hour=3.6", "prompts=[4]", "seeds=[2]")
    found = planned(*words)
    assert found["gpu_seconds_per_image"] == pytest.approx(0.05)
    [design] = found["cp"]["designs"]
    assert (design["prompts"], design["seeds"]) == (4, 2)
    assert design["images"] == 8 * design["concepts"]
    assert design["gpu_seconds"] == pytest.approx(0.05 * design["images"])
    assert design["dollars"] == pytest.approx(0.05 * design["images"] / 1000)
    assert json.loads((out / "plan.json").read_text()) == found
    assert b"<polyline" in (out / "plan.svg").read_bytes()
    shown = plan(*words).stdout
    assert "sd concepts" in shown and "GPU seconds" in shown


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "run= is required"),
        (("effect=0",), "effect=0.0: expected"),
        (("effect=inf",), "effect=inf: expected"),
        (("dollars_per_gpu_hour=-2",), "dollars_per_gpu_hour=-2.0: expected"),
        (("dollars_per_gpu_hour=nan",), "dollars_per_gpu_hour=nan: expected"),
        (("columns=[clip_i]",), "known: cp, pf"),
        (("model=who",), "model=who: the run has m"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_1(
    tmp_path: Path, words: tuple[str, ...], complaint: str
) -> None:
    run = write_run(tmp_path / "run", rows_of(range(1)))
    done = plan(*([f"run={run}"] if words else []), *words)
    assert done.returncode == 1
    assert complaint in done.stderr
