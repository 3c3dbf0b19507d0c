"""`python -m jobs.agree` on tables of ratings, as it is called."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import fsspec
import krippendorff
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from jobs.agree import agree_command
from jobs.pipeline.agreement import AgreeConfig
from jobs.pipeline.command.call import run_command
from jobs.pipeline.results import figures
from tests import ratings
from tests.commands import Run, command
from tests.pipeline.results.test_summary import schema_with, write_part

Row = dict[str, Any]
NAN = float("nan")
PUBLISHED = {
    "consistency": {
        "BLIPDiffusion_Gen": (0.39, 0.23),
        "DreamBooth": (0.64, 0.40),
        "DreamBoothLora": (0.38, 0.30),
        "SuTI": (0.53, 0.30),
        "TextualInversion": (0.58, 0.43),
    },
    "quality": {
        "BLIPDiffusion_Gen": (0.16, 0.12),
        "DreamBooth": (0.38, 0.39),
        "DreamBoothLora": (0.37, 0.36),
        "SuTI": (0.30, 0.24),
        "TextualInversion": (0.23, 0.24),
    },
}
"""Alpha and kappa, as ImagenHub publishes them."""
RHO = {
    "clip_i": ([0.2611, 0.1324, 0.2499, 0.5776], 0.4397),
    "dino": ([0.4718, 0.4153, 0.2335, 0.6508], 0.6129),
    "gpt4o": ([0.3327, 0.6876, 0.3550, 0.7199], 0.5745),
}
"""Per model in the order of their names, and pooled, as the README of the ratings gives them."""


def agree(*words: str) -> Run:
    """The command's own function, here: a process of its own would take its imports each time."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run_command("agree", AgreeConfig, agree_command, list(words))
    return Run([*words], status, out.getvalue(), err.getvalue())


def document(*words: str) -> Any:
    """What it prints as JSON."""
    done = agree(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def write_csv(path: Path, rows: Iterable[Row]) -> Path:
    table = list(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in table for name in row)))
        writer.writeheader()
        writer.writerows(table)
    return path


def rated(seed: int = 0, gaps: float = 0.0) -> list[Row]:
    """Three raters of two models, eight concepts and three prompts, on a scale of 1 to 5."""
    rng, rows = np.random.default_rng(seed), []
    for model, level in (("a", 0.0), ("b", 1.0)):
        for concept in range(8):
            for prompt in range(3):
                truth = 3 + level + rng.normal()
                for rater in "xyz":
                    value: Any = int(np.clip(round(truth + rng.normal(0, 0.7)), 1, 5))
                    row = {"model": model, "concept": f"c{concept}", "prompt_id": prompt}
                    row |= {"rater": rater, "rating": "" if rng.random() < gaps else value}
                    rows.append(row)
    return rows


def scored(rows: Iterable[Row], seed: int = 1) -> list[Row]:
    """A run's rows for those samples; CP follows the ratings, PF does not."""
    rng, found = np.random.default_rng(seed), {}
    for row in rows:
        sample = row["model"], row["concept"], str(row["prompt_id"])
        own = found.setdefault(sample, {"ratings": []})
        own["ratings"] += [row["rating"]] if row["rating"] != "" else []
    for (model, concept, prompt), own in found.items():
        mean = np.mean(own.pop("ratings"))
        own |= {"model": model, "concept": concept, "prompt_id": prompt, "status": "ok"}
        own |= {"cp": 0.1 * mean + rng.normal(0, 0.05), "pf": rng.random(), "seed": 7}
        own |= {"clip_i": 0.5 + 0.02 * mean + rng.normal(0, 0.03), "siglip2_t": rng.random()}
    return list(found.values())


def write_run(run: Path, rows: list[Row]) -> Path:
    footer = json.dumps({"fingerprint": {}, "source": {}})
    write_part(str(run), "part", rows, footer, schema_with("clip_i", "siglip2_t", "cp.leak"))
    return run


def alpha_of_package(values: np.ndarray, raters: np.ndarray) -> float:
    """The mean of a metric's alphas with each rater, both brought to [0, 1]; raters (R, U)."""
    scaled = (values - values.min()) / (values.max() - values.min())
    low, high = np.nanmin(raters), np.nanmax(raters)
    return float(
        np.mean(
            [
                krippendorff.alpha(np.stack([scaled, own]), level_of_measurement="interval")
                for own in (raters - low) / (high - low)
            ]
        )
    )


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "ratings.csv", rated())


@pytest.mark.skipif(not ratings.are_there(), reason=ratings.WHY_NOT)
@pytest.mark.parametrize("rating", PUBLISHED)
def test_alpha_and_kappa_of_imagenhub_are_the_published_ones(rating: str) -> None:
    found = document(f"ratings={ratings.RATED}", f"rating={rating}", "level=ordinal")
    assert list(found) == [rating]
    human = found[rating]["human"]
    assert human["n"] == 750
    assert found[rating]["rows"] == []
    for model, (alpha, kappa) in PUBLISHED[rating].items():
        own = human["per_model"][model]
        assert (round(own["alpha"], 2), round(own["kappa"], 2), own["n"]) == (alpha, kappa, 150)


@pytest.mark.skipif(not ratings.are_there(), reason=ratings.WHY_NOT)
def test_rho_of_the_metrics_that_came_with_the_ratings() -> None:
    words = [f"ratings={ratings.RATED}", "rating=consistency", f"columns={ratings.METRICS}"]
    found = document(*words)["consistency"]
    assert [row["name"] for row in found["rows"]] == list(RHO)
    for row in found["rows"]:
        per_model, pooled = RHO[row["name"]]
        assert [round(own["rho"], 4) for own in row["per_model"].values()] == per_model
        assert (round(row["rho"], 4), row["n"]) == (pooled, 600)
    assert found["left_out"] == {name: {"no row": 150} for name in RHO}
    assert found["notes"] == [
        "SuTI is rated and in no row: clip_i, dino, gpt4o without a value for it"
    ]


def test_a_run_beside_a_table_makes_a_section_of_cp_and_one_of_pf(
    table: Path, tmp_path: Path
) -> None:
    rows = scored(rated())
    run = write_run(tmp_path / "run", rows)
    found = document(f"ratings={table}", f"runs={run}")
    assert list(found) == ["cp", "pf"]
    assert [row["name"] for row in found["cp"]["rows"]] == ["masc", "clip_i"]
    assert [row["name"] for row in found["pf"]["rows"]] == ["masc", "siglip2_t"]
    raters = np.array([row["rating"] for row in rated()], float).reshape(-1, 3).T
    expected = krippendorff.alpha(raters, level_of_measurement="interval")
    assert found["cp"]["human"]["alpha"] == pytest.approx(expected, abs=1e-9)
    for section, row, column in (("cp", 0, "cp"), ("cp", 1, "clip_i"), ("pf", 0, "pf")):
        own, values = found[section]["rows"][row], np.array([each[column] for each in rows])
        assert own["alpha"] == pytest.approx(alpha_of_package(values, raters), abs=1e-9)
        of_scipy = stats.spearmanr(values, raters.mean(0).round(9)).statistic
        assert own["rho"] == pytest.approx(of_scipy, abs=1e-9)
        assert own["n"] == 48
        assert own["ci"][0] < own["alpha"] < own["ci"][1]
    [difference] = found["cp"]["differences"]
    assert (difference["first"], difference["second"]) == ("masc", "clip_i")
    first, second = (row["alpha"] for row in found["cp"]["rows"])
    assert difference["alpha"] == pytest.approx(first - second, abs=1e-12)
    assert difference["ci"][0] < difference["alpha"] < difference["ci"][1]
    assert 0 < difference["p"] < 1


def test_a_rating_column_called_cp_is_of_cp_alone(tmp_path: Path) -> None:
    rows = [{**row, "cp": row["rating"]} for row in rated()]
    table = write_csv(tmp_path / "ratings.csv", rows)
    run = write_run(tmp_path / "run", scored(rated()))
    assert list(document(f"ratings={table}", f"runs={run}", "rating=cp")) == ["cp"]


def test_rows_are_on_common_keys_people_on_all_and_what_is_left_out_is_counted(
    table: Path, tmp_path: Path
) -> None:
    rows = scored(rated())
    rows[0] |= {"status": "skipped", "cp": None, "pf": None, "clip_i": None}
    rows[1]["cp"] = NAN
    rows[2]["clip_i"] = None
    del rows[3]
    rows.append({**rows[-1], "concept": "another"})
    found = document(f"ratings={table}", f"runs={write_run(tmp_path / 'run', rows)}")["cp"]
    assert found["human"]["n"] == 48
    assert [row["n"] for row in found["rows"]] == [44, 44]
    assert found["left_out"] == {
        "masc": {"skipped": 1, "NaN": 1, "no row": 1},
        "clip_i": {"skipped": 1, "null": 1, "no row": 1},
    }
    assert found["notes"] == ["1 rows of the runs are ok and rated by nobody"]


def test_the_scale_of_a_row_is_that_of_its_own_keys(tmp_path: Path) -> None:
    """The largest rating and the largest score are of a sample that another column lacks."""
    rows = rated()
    for row in rows[:3]:
        row["rating"] = 50
    run_rows = scored(rows)
    run_rows[0]["clip_i"] = None
    words = [f"ratings={write_csv(tmp_path / 'r.csv', rows)}"]
    found = document(*words, f"runs={write_run(tmp_path / 'run', run_rows)}")["cp"]["rows"][0]
    raters = np.array([row["rating"] for row in rows[3:]], float).reshape(-1, 3).T
    values = np.array([row["cp"] for row in run_rows[1:]])
    assert found["alpha"] == pytest.approx(alpha_of_package(values, raters), abs=1e-9)


@pytest.mark.parametrize("level", ["interval", "ordinal"])
def test_gaps_are_counted_and_alpha_is_that_of_the_package(tmp_path: Path, level: str) -> None:
    rows = rated(gaps=0.3)
    rows[0]["rating"] = rows[1]["rating"] = rows[2]["rating"] = ""
    path = tmp_path / "ratings.parquet"
    values = [None if row["rating"] == "" else float(row["rating"]) for row in rows]
    table = pa.Table.from_pylist([{**r, "rating": v} for r, v in zip(rows, values, strict=True)])
    pq.write_table(table, path)
    found = document(f"ratings={path}", f"level={level}")["rating"]
    matrix = np.array([math.nan if v is None else v for v in values]).reshape(-1, 3).T
    expected = krippendorff.alpha(matrix, level_of_measurement=level)
    assert found["human"]["alpha"] == pytest.approx(expected, abs=1e-9)
    assert found["human"]["kappa"] is None
    assert found["human"]["n"] == int((~np.isnan(matrix)).any(0).sum()) < 48
    assert found["n_missing_ratings"] == int(np.isnan(matrix).sum())


def test_seeds_are_told_apart_where_the_ratings_do(tmp_path: Path) -> None:
    rows = [{**row, "seed": seed, "rating": row["rating"] + seed} for seed in (0, 1)
            for row in rated()]  # fmt: skip
    run_rows = [{**row, "seed": seed} for seed in (0, 1) for row in scored(rated(), seed)]
    run = write_run(tmp_path / "run", run_rows)
    table = write_csv(tmp_path / "ratings.csv", rows)
    assert document(f"ratings={table}", f"runs={run}")["cp"]["rows"][0]["n"] == 96
    plain = write_csv(tmp_path / "plain.csv", rated())
    done = agree(f"ratings={plain}", f"runs={run}")
    assert done.returncode == 1
    assert "a, c0, prompt 0: 2 rows of the runs" in done.stderr


def test_runs_may_have_a_metric_each(table: Path, tmp_path: Path) -> None:
    rows = scored(rated())
    first = [{**row, "clip_i": None} for row in rows]
    second = [{**row, "cp": None, "pf": None} for row in rows]
    together = write_run(tmp_path / "together", rows)
    runs = [write_run(tmp_path / name, own) for name, own in (("1", first), ("2", second))]
    expected = document(f"ratings={table}", f"runs={together}")["cp"]["rows"]
    found = document(f"ratings={table}", f"runs=[{runs[0]},{runs[1]}]", "metrics=[cp,clip_i]")
    assert found["cp"]["rows"] == expected
    done = agree(f"ratings={table}", f"runs=[{runs[0]},{together}]")
    assert "two rows of the runs have a value of cp" in done.stderr


def test_intervals_of_a_few_concepts_lie_within_what_the_figures_can_be(tmp_path: Path) -> None:
    """As they are reckoned over four concepts, these would end at 4.09 (alpha) and 1.19 (rho)."""
    on_scale = [4, 5, 1, 5, 3, 3, 4, 2, 5, 1, 2, 2]
    by_metric = [3.4, 4.2, 1.7, 6.6, 3.3, 1.8, 3.0, 3.6, 5.2, -0.7, 1.9, 0.8]
    ratings, scores = [], []
    for place, (rated, scored) in enumerate(zip(on_scale, by_metric, strict=True)):
        sample = {"model": "m", "concept": f"c{place // 3}", "prompt_id": f"p{place % 3}"}
        ratings += [{**sample, "rater": rater, "rating": rated} for rater in ("r", "s")]
        scores.append({**sample, "metric": scored})
    words = [f"ratings={write_csv(tmp_path / 'ratings.csv', ratings)}"]
    words += [f"columns=[{write_csv(tmp_path / 'scores.csv', scores)}]"]
    [section] = document(*words).values()
    [row] = section["rows"]
    assert row["ci"] == [pytest.approx(0.3527, abs=1e-4), 1.0]
    assert row["rho_ci"] == [pytest.approx(-0.5601, abs=1e-4), 1.0]
    shown = agree(*words).stdout
    assert "[0.353, 1.000]" in shown and "[-0.560, 1.000]" in shown


def test_the_forms_are_written(table: Path, tmp_path: Path) -> None:
    out, run = tmp_path / "out", write_run(tmp_path / "run", scored(rated()))
    done = agree(f"ratings={table}", f"runs={run}", f"out={out}", "figures=true")
    assert done.returncode == 0
    assert done.stdout.startswith("Concept preservation\n")
    assert set(json.loads((out / "agree.json").read_text())) == {"cp", "pf"}
    markdown = (out / "agree.md").read_text()
    assert "## Concept preservation" in markdown and "| masc " in markdown
    latex = (out / "agree.tex").read_text()
    assert r"clip\_i" in latex and latex.count(r"\begin{tabular}") == 8
    texts = "".join(ElementTree.fromstring((out / "forest.svg").read_bytes()).itertext())
    assert "clip_i" in texts and "Prompt following" in texts
    assert (out / "forest.pdf").read_bytes().startswith(b"%PDF")


def test_without_matplotlib_there_are_no_figures_unless_they_are_asked_for(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "find_spec", lambda name: None)
    out = tmp_path / "out"
    assert agree(f"ratings={table}", f"out={out}").returncode == 0
    assert sorted(path.name for path in out.iterdir()) == ["agree.json", "agree.md", "agree.tex"]
    done = agree(f"ratings={table}", f"out={out}", "figures=true")
    assert done.returncode == 1
    assert "matplotlib is not installed: pip install 'masc-eval[figures]'" in done.stderr


def test_a_table_may_lie_elsewhere(table: Path) -> None:
    fsspec.filesystem("memory").pipe("/far/ratings.csv", table.read_bytes())
    found = document("ratings=memory://far/ratings.csv")
    assert found == document(f"ratings={table}")
    done = agree("ratings=memory://far/other.csv")
    assert "ratings=memory://far/other.csv: no such file" in " ".join(done.stderr.split())


@pytest.mark.slow
def test_as_a_process_of_its_own(table: Path) -> None:
    done = command("agree", f"ratings={table}", "--json")
    assert (done.returncode, list(json.loads(done.stdout))) == (0, ["rating"])
