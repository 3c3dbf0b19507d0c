"""`python -m jobs.report`: the figures that its page holds, and calls that are wrong."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.pipeline.results.summary import summarise_run
from tests.pages import runs

MODELS = [runs.PLAIN, runs.IMAGE, runs.LONELY, runs.LONG, runs.COPY]


@pytest.fixture(scope="module")
def data(page: Path) -> dict[str, Any]:
    return runs.data_in(page)


@pytest.fixture(scope="module")
def ok_rows() -> list[runs.Row]:
    return [row for row in runs.rows_of_page() if row["status"] == "ok"]


def test_models_and_concepts_are_those_of_the_summary(page: Path, data: dict[str, Any]) -> None:
    run = page.parents[1]
    summarise_run(str(run))
    summary = json.loads((run / "summary" / "summary.json").read_text())
    by_name = {row["model"]: row for row in summary["models"]}
    assert [row["model"] for row in data["models"]] == MODELS
    for row in data["models"]:
        assert {key: row[key] for key in by_name[row["model"]]} == by_name[row["model"]]
    concepts = pq.read_table(run / "summary" / "concept.parquet")
    for column in ("concept", "n", "n_ok", "cp_mean", "pf_mean", "cp.leak_mean"):
        assert data["concepts"][column] == concepts[column].to_pylist()


def test_cells_are_the_means_of_their_rows(data: dict[str, Any], ok_rows: list[runs.Row]) -> None:
    by_cell = defaultdict(list)
    for row in ok_rows:
        by_cell[row["model"], row["concept"]].append(row["pf"])
    for place, model in enumerate(MODELS):
        means = data["cells"]["means"]["pf"][place]
        for concept, mean in zip(data["concepts"]["concept"], means, strict=True):
            values = by_cell.get((model, concept))
            assert mean == (pytest.approx(fmean(values), abs=1e-12) if values else None)


def test_bins_hold_what_numpy_counts(data: dict[str, Any], ok_rows: list[runs.Row]) -> None:
    for column in ("cp", "pf", "cp.leak"):
        found = data["distributions"][column]
        everything = [row[column] for row in ok_rows if row[column] == row[column]]
        assert (found["edges"][0], found["edges"][-1]) == (
            min(everything),
            pytest.approx(max(everything)),
        )
        for model, counts in zip(MODELS, found["counts"], strict=True):
            own = [v for row in ok_rows if row["model"] == model and (v := row[column]) == v]
            assert sum(counts) == len(own)
            # A value on an edge may fall on either side of it.
            expected, _ = np.histogram(own, found["edges"])
            assert np.abs(np.cumsum(counts) - np.cumsum(expected)).max() <= 1


def test_a_tag_has_the_means_of_its_rows(data: dict[str, Any], ok_rows: list[runs.Row]) -> None:
    prompts, difficulty = data["tags"]
    assert (prompts["by"], difficulty["by"]) == ("prompt_id", "extra.difficulty")
    assert sorted(prompts["values"]) == sorted(runs.PROMPTS)
    for table, value_of in (
        (prompts, lambda row: row["prompt_id"]),
        (difficulty, lambda row: json.loads(row.get("extra", "{}")).get("difficulty")),
    ):
        for place, value in enumerate(table["values"]):
            own = [row for row in ok_rows if value_of(row) == value]
            assert table["n_ok"][place] == len(own)
            assert table["means"]["pf"][place] == pytest.approx(fmean(r["pf"] for r in own))
            copies = [row["pf"] for row in own if row["model"] == runs.COPY]
            found = table["by_model"]["pf"][MODELS.index(runs.COPY)][place]
            assert found == pytest.approx(fmean(copies))


def test_reasons_are_counted_by_their_kind(data: dict[str, Any]) -> None:
    found = [
        (each["status"], each["kind"], each["n"], each["n_models"]) for each in data["reasons"]
    ]
    assert found == [
        ("error", "jpg: N bytes, no JPEG", 4, 1),
        ("skipped", "mask.png: covers N of the image", 1, 1),
        ("ok", "reference: no patch is foreground", 1, 1),
    ]


def test_the_comparison_the_history_and_people_are_those_that_were_asked_for(
    page: Path, data: dict[str, Any]
) -> None:
    by_name = {each["candidate"]: each for each in data["comparison"]["comparisons"]}
    change = by_name[f"run/{runs.PLAIN}"]
    assert change["verdict"] == "regressed"
    assert change["cp"]["delta"] == pytest.approx(-0.05)
    assert [row["checkpoint"] for row in data["history"]] == [f"step-{n}" for n in range(8)]
    assert "the history has no row of what is shown here" in page.read_text()
    assert set(data["agreement"]) == {"cp", "pf"}


def test_the_page_says_who_leads_and_who_copies(page: Path) -> None:
    text = page.read_text()
    assert "plain &amp; simple leads 5 models: CP 0.7" in text
    assert "<strong>copy</strong> looks like" in text.replace("\n", " ")
    assert "PF: the intervals of " in text
    assert "<script>alert" not in text
    assert "onerror=alert(1)>" not in text


# Runs of other kinds.


def reported(run: Path, *words: str) -> tuple[str, dict[str, Any]]:
    """The page's text, and its data."""
    done = runs.report(f"run={run}", "gallery=0", *words)
    assert done.returncode == 0, done.stderr
    page = run / "report" / "index.html"
    return page.read_text(), runs.data_in(page)


def test_a_run_in_which_all_failed_says_why(tmp_path: Path) -> None:
    rows = [{"model": "m", "concept": "c", "status": "error", "error": "jpg: no JPEG"}] * 3
    text, data = reported(runs.write_run(tmp_path / "run", rows))
    assert "None of 3 rows could be scored; the reasons are below." in text
    assert "Nothing was scored." in text
    assert data["reasons"][0]["n"] == 3
    assert data["models"][0]["cp_mean"] is None


def test_a_run_of_one_model_and_one_concept_has_no_interval(tmp_path: Path) -> None:
    row = {"model": None, "concept": None, "status": "ok", "cp": 0.5, "pf": 0.25}
    text, data = reported(runs.write_run(tmp_path / "run", [row]))
    assert "(unknown) has CP 0.500, PF 0.250, over 1 sample." in text
    assert data["models"][0]["cp_ci_low"] is None
    assert data["scatter"]["copies"] == []
    assert sum(data["distributions"]["cp"]["counts"][0]) == 1


def test_a_run_without_pf_is_shown_by_its_cp(tmp_path: Path) -> None:
    rows = [
        {"model": model, "concept": f"c{n}", "status": "ok", "cp": 0.5 + n / 100, "pf": None}
        for model in "ab"
        for n in range(3)
    ]
    text, data = reported(runs.write_run(tmp_path / "run", rows))
    assert "No model has both scores." in text
    assert data["heat"]["ends"]["cp"] == [0.5, 0.52]


def test_several_runs_are_one_page_in_the_place_that_is_named(tmp_path: Path) -> None:
    for name, extra in (("a", ()), ("b", ("clip_i",))):
        rows = [
            {"model": name, "concept": f"c{n}", "status": "ok", "cp": 0.5, "pf": 0.2, "clip_i": 0.1}
            for n in range(3)
        ]
        runs.write_run(tmp_path / name, rows, extra)
    words = [f"run=[{tmp_path}/a,{tmp_path}/b]", "gallery=0"]
    assert "out= is required" in runs.report(*words).stderr
    done = runs.report(*words, f"out={tmp_path}/page", "--json")
    told = json.loads(done.stdout)
    assert (told["page"], told["n_models"]) == (f"{tmp_path}/page/index.html", 2)
    data = runs.data_in(tmp_path / "page" / "index.html")
    assert data["columns"] == ["cp", "pf", "clip_i"]
    assert [row["n_clip_i"] for row in data["models"]] == [0, 3]
    assert told["warnings"] == ["clip_i in 1 of 2 parts"]
    twice = tmp_path / "c"
    runs.write_run(twice, [{**rows[0], "model": "a"}])
    done = runs.report(f"run=[{tmp_path}/a,{twice}]", "gallery=0", f"out={tmp_path}/two", "--json")
    [warned] = [line for line in json.loads(done.stdout)["warnings"] if "of the runs" in line]
    assert warned.startswith("more than one of the runs has a: their rows count as one model's")


def test_a_summary_of_other_rows_is_named(tmp_path: Path) -> None:
    run = runs.write_run(tmp_path / "run", runs.rows_of_page())
    summarise_run(str(run))
    assert "summary/ is of other rows" not in reported(run)[0]
    runs.write_run(run, runs.rows_of_page()[:60])
    assert "summary/ is of other rows" in reported(run)[0]


def test_a_part_that_the_leaderboard_leaves_out_is_left_out(tmp_path: Path) -> None:
    run = runs.write_run(tmp_path / "run", runs.rows_of_page())
    runs.write_part(str(run), "stale", runs.rows_of_page()[:5], runs.FOOTER)
    (run / "run.json").write_text(json.dumps({"stale_parts": ["x/scores/stale.parquet"]}))
    text, data = reported(run)
    assert data["counts"]["n"] == len(runs.rows_of_page())
    assert "run: 1 part left out" in text


def test_a_run_that_stopped_early_says_on_what_and_shows_how_its_interval_narrowed(
    page: Path, data: dict[str, Any]
) -> None:
    text = page.read_text(encoding="utf-8")
    assert (
        "run: stopped early, regressed after 14 of 40 concepts; 65% of the shards were not scored, "
        "so these figures are not all of it"
    ) in text
    [shown] = data["early"]
    looks = runs.described_early()["early"]["looks"]
    for place, end in enumerate(("low", "mean", "high")):
        assert shown[end] == [look["columns"]["cp"][place] for look in looks]
    assert (shown["margin"], shown["verdict"]) == (0.01, "regressed")
    drawn = re.search(r'<path class="hill" d="(M[^"]+Z)"/>\s*<path class="zero"', text)
    # There and back over the 13 looks that have an interval, narrower at each.
    points = [tuple(map(float, each.split())) for each in re.split("[MLZ]", drawn[1])[1:-1]]
    assert len(points) == 26
    tall = [low[1] - high[1] for high, low in zip(points[:13], points[:12:-1], strict=True)]
    assert tall == sorted(tall, reverse=True)
    assert tall[-1] > 0


def test_what_a_run_was_made_with_is_shown_without_its_secrets(tmp_path: Path) -> None:
    run = runs.write_run(tmp_path / "run", runs.rows_of_page()[:3])
    described = {
        "state": "incomplete",
        "config": {"samples": ["s3://k:hush@bucket/a.tar?Signature=hush"]},
        "fingerprint": {"encoder.dtype": "float32"},
        "workers": [{"samples": 30, "scoring": 8.0, "waiting": 2.0, "device": "cuda:0"}],
    }
    (run / "run.json").write_text(json.dumps(described))
    text, _ = reported(run)
    assert "hush" not in text
    assert "its state is incomplete" in text
    assert "<dt>samples a second and worker</dt><dd>3.00</dd>" in text
    assert "<dt>masc.encoder.dtype</dt><dd>float32</dd>" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "run= is required"),
        (["run=nowhere"], "run=nowhere: nothing scored there, no scores/*.parquet"),
        (["run=RUN", "baseline=nowhere"], "run=nowhere: nothing scored there"),
        (["run=RUN", "baseline_model=m"], "baseline_model= goes with baseline="),
        (["run=RUN", "history=nowhere.parquet"], "history=nowhere.parquet: no such file"),
        (["run=RUN", "history=RUN/scores/part.parquet"], "no history of jobs.nightly"),
        (["run=RUN", "ratings=nowhere.csv"], "/nowhere.csv: no such file"),
        (["run=RUN", "by=[colour]"], "by=colour: expected prompt_id"),
        (["run=RUN", "heatmaps=maybe"], "heatmaps=maybe: expected auto, on, off"),
        (["run=RUN", "gallery=-1"], "gallery=-1: expected 0 to"),
        (["run=RUN", "assets=index.html"], "assets=index.html: that is the page"),
        (["run=RUN", "export=pdf"], "export=pdf: expected fiftyone"),
        (["run=RUN", "out=http://example.org/x"], "out=http://example.org/x: is read, and not"),
        (["run=EMPTY"], "its parts hold no row"),
    ],
)
def test_a_wrong_call_is_one_line_and_writes_nothing(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = runs.write_run(tmp_path / "run", runs.rows_of_page()[:3])
    empty = runs.write_run(tmp_path / "empty", [])
    done = runs.report(
        *(word.replace("RUN", str(run)).replace("EMPTY", str(empty)) for word in words)
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert len([line for line in done.stderr.splitlines() if "jobs.report:" in line]) == 1
    assert not list(tmp_path.glob("**/index.html"))
