"""`python -m jobs.compare` of runs and calls that are not as they should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline.results.comparison.suspicions import suspicions_of_runs
from tests.jobs.test_compare import FOOTER, NAN, Row, compare, drop_cp, rows_of, write_run
from tests.pipeline.results.test_summary import schema_with, write_part

pytestmark = pytest.mark.slow


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


def test_a_column_that_most_rows_lack_is_named(tmp_path: Path) -> None:
    def with_clip(rows: list[Row], has_value: Callable[[Row], bool]) -> list[Row]:
        return [{**row, "clip_i": 0.5 if has_value(row) else None} for row in rows]

    old = write_run(
        tmp_path / "old", with_clip(rows_of("a"), lambda row: True), FOOTER, None, "clip_i"
    )
    rows = with_clip(rows_of("b", 1), lambda row: row["prompt_id"] == "p0" and row["seed"] == 0)
    new = write_run(tmp_path / "new", rows, FOOTER, None, "clip_i")
    words = (f"baseline={old}", f"candidate={new}", "columns=[clip_i]", "gate={clip_i: 0.01}")
    [said] = compared(*words)["suspicions"]
    assert said["kind"] == "missing_candidate:clip_i"
    assert said["text"] == "89% of the candidate's rows have no clip_i: is it complete?"
    assert (said["baseline"], said["candidate"]) == (0, pytest.approx(8 / 9))
    assert compared(*words, "limits.max_unpaired=1")["suspicions"] == []
    # The column is in one of two parts: half the rows have no value of it.
    footer = json.dumps({"fingerprint": FOOTER, "source": {}})
    write_part(str(tmp_path / "half"), "a", rows_of("b", 1)[90:], footer, schema_with())
    rows = with_clip(rows_of("b", 1)[:90], lambda row: True)
    write_part(str(tmp_path / "half"), "b", rows, footer, schema_with("clip_i"))
    [said] = compared(words[0], f"candidate={tmp_path}/half", *words[2:])["suspicions"]
    assert said["candidate"] == 0.5


def test_other_references_are_another_way_of_scoring(tmp_path: Path) -> None:
    def write(name: str, references: dict[str, Any]) -> Path:
        footer = {"format": 2, "fingerprint": {"masc": FOOTER}, "source": {}}
        text = json.dumps({**footer, "references": references})
        write_part(str(tmp_path / name), "part", rows_of("m"), text, schema_with())
        return tmp_path / name

    held = {f"c{g:02d}": {"given": f"{g}"} for g in range(20)}
    old = write("old", held)
    new = write("new", held | {"c07": {"given": "x"}, "c03": {"given": "y"}, "more": {"given": ""}})
    done = compare(f"baseline={old}", f"candidate={new}")
    assert done.returncode == 1
    assert "2 concepts have other references (the first: c03)" in done.stderr
    found = compared(f"baseline={old}", f"candidate={new}", "allow_different=true")
    assert (found["exit"], [each["kind"] for each in found["suspicions"]]) == (0, ["fingerprint"])
    # PF asks the prompt alone; references may have gained a mask, and another run more concepts.
    of_pf = ("columns=[pf]", "gate.cp=null")
    assert compare(f"baseline={old}", f"candidate={new}", *of_pf).returncode == 0
    more = write("more", {c: {**of, "dilated": "z"} for c, of in held.items() if c != "c05"})
    assert compare(f"baseline={old}", f"candidate={more}").returncode == 0


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("gate.cp=inf", "gate.cp=inf: expected 0.0 to 1000000000.0"),
        ("gate.cp=nan", "gate.cp=nan: expected 0.0 to "),
        ("limits.max_unpaired=nan", "limits.max_unpaired=nan: expected 0.0 to "),
        ("limits.max_mask_change=-0.1", "limits.max_mask_change=-0.1: expected 0.0 to "),
        ("lower_is_better=[cpp]", "lower_is_better=cpp: it is none of the columns"),
        ("columns=[prompt]", "no score column 'prompt'; known: cp, pf"),
        ("columns=[cp_per_reference]", "no score column 'cp_per_reference'"),
    ],
)
def test_a_setting_that_means_nothing_is_one_line_and_status_1(
    tmp_path: Path, word: str, complaint: str
) -> None:
    run = write_run(tmp_path / "run", rows_of(concepts=2))
    done = compare(f"baseline={run}", f"candidate={run}", word)
    assert (done.returncode, done.stdout) == (1, "")
    assert complaint in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([("cuda:0", "H100")], [("cuda:0", "A100")], ["scored on A100, was on H100"]),
        ([("cuda:0", "H100"), ("cuda:1", "H100")], [("cuda:0", "H100")], []),
        ([("cpu", "cpu")], [("cuda:0", "A100")], ["scored on A100, was on cpu"]),
        ([("cuda:0", "")], [("cuda:0", "A100")], []),
        ([("cpu", "")], [("cuda:0", "A100")], ["scored on cuda, was on cpu"]),
    ],
)
def test_another_model_of_gpu_is_named(before: Any, after: Any, said: list[str]) -> None:
    def described(workers: list[tuple[str, str]]) -> dict[str, Any]:
        listed = [{"device": d, "device_name": name, "samples": 9} for d, name in workers]
        return {"workers": [*listed, {"device": "cuda:0", "device_name": "T4", "samples": 0}]}

    found = suspicions_of_runs(described(before), described(after))
    assert [each.text for each in found] == said


def test_a_prompt_without_a_text_is_no_second_text(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", rows_of("a"))

    def forget(row: Row) -> None:
        row["prompt"] = None if row["prompt_id"] == "p0" else row["prompt"] + " "

    new = write_run(tmp_path / "new", rows_of("b", 1, change=forget))
    [said] = compared(f"baseline={old}", f"candidate={new}")["suspicions"]
    assert said["text"] == "67% of pairs have one prompt_id and two texts"


@pytest.mark.parametrize(("stale", "status"), [(None, 0), (5, 1)])
def test_a_list_of_stale_parts_that_is_none(tmp_path: Path, stale: Any, status: int) -> None:
    run = write_run(tmp_path / "run", rows_of(), FOOTER, {"stale_parts": stale})
    done = compare(f"baseline={run}", f"candidate={run}")
    assert done.returncode == status
    assert ("stale_parts of its run.json is no list" in done.stderr) == (status == 1)


def test_how_many_pairs_have_a_value_is_said_in_every_form(tmp_path: Path) -> None:
    """A third of either side is NaN, in other rows: no rate rose, a third of the pairs count."""

    def undefined(*prompts: str) -> Callable[[Row], None]:
        def change(row: Row) -> None:
            if row["prompt_id"] in prompts:
                row["cp"] = NAN

        return change

    old = write_run(tmp_path / "old", rows_of("a", change=undefined("p0")))
    new = write_run(tmp_path / "new", rows_of("b", 1, change=undefined("p1")))
    out = tmp_path / "out"
    done = compare(f"baseline={old}", f"candidate={new}", f"out={out}")
    said = "180 pairs of 20 concepts (both have a value: CP of 60, CP×PF of 60)"  # noqa: RUF001
    forms = [done.stdout, *((out / name).read_text() for name in ("compare.md", "junit.xml"))]
    assert all(said in form for form in forms)
    found = json.loads((out / "compare.json").read_text())
    assert (found["cp"]["n_pairs"], found["pf"]["n_pairs"]) == (60, 180)


def test_without_a_gate_it_is_said_that_nothing_is_decided(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", rows_of("a"))
    done = compare(f"baseline={run}", f"candidate={run}", "gate={cp: null, pf: null}")
    assert done.returncode == 5
    assert "no column has a margin, so nothing is decided" in done.stdout


def test_a_candidate_of_which_nothing_is_scored_does_not_blame_the_baseline(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", rows_of("a"))

    def skip(row: Row) -> None:
        row |= {"status": "skipped", "cp": None, "pf": None}

    new = write_run(tmp_path / "new", rows_of("b", 1, change=skip))
    found = compared(f"baseline={old}", f"candidate={new}")
    assert (found["exit"], found["n_pairs"]) == (5, 0)
    assert [each["kind"] for each in found["suspicions"]] == ["unpaired_baseline", "skip_rate"]
