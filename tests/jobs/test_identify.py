"""`python -m jobs.identify`, as it is called, on rows as ORIDa's shards give them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from jobs.identify import identify_command
from jobs.pipeline.command.call import run_command
from jobs.pipeline.identification import IdentifyConfig
from jobs.pipeline.results import figures
from tests.commands import Run, command
from tests.pipeline.results.test_summary import schema_with, write_part

Row = dict[str, Any]
NAN = float("nan")
LISTS = pa.list_(pa.float64())
PHOTOS = 4
"""Of a subject."""


def identify(*words: str) -> Run:
    """The command's own function, here: a process of its own would take its imports each time."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run_command("identify", IdentifyConfig, identify_command, list(words))
    return Run([*words], status, out.getvalue(), err.getvalue())


def document(run: Path, *words: str) -> Any:
    """What it prints as JSON."""
    done = identify(f"run={run}", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def orida(subjects: int = 6, seed: int = 0) -> list[Row]:
    """A row a photo: all within pairs of a subject, the earlier photo as reference, and as many
    cross pairs by chance, the photo of the earlier subject as reference.
    """
    rng = np.random.default_rng(seed)
    photos = [(s, p) for s in range(subjects) for p in range(PHOTOS)]
    keys = {photo: f"{photo[0]:03d}/{photo[1]}" for photo in photos}
    within = [(a, b) for a, b in combinations(photos, 2) if a[0] == b[0]]
    pool = [(a, b) for a, b in combinations(photos, 2) if a[0] < b[0]]
    chosen = rng.choice(len(pool), size=len(within), replace=False)
    pairs: dict[Any, list[tuple[str, str]]] = {photo: [] for photo in photos}
    for sort, both in (("within", within), ("cross", [pool[i] for i in chosen])):
        for reference, generation in both:
            pairs[generation].append((keys[reference], sort))
    rows = []
    for photo in photos:
        references = [key for key, _ in pairs[photo]]
        sorts = [sort for _, sort in pairs[photo]]
        closeness = np.array([1.0 if sort == "within" else 0.0 for sort in sorts])
        row = {"key": keys[photo], "model": "orida", "concept": f"{photo[0]:03d}", "status": "ok"}
        row |= {"prompt": "a photo", "references": references, "extra": json.dumps({"pair": sorts})}
        row["cp_per_reference"] = (closeness + rng.normal(0, 0.8, len(sorts))).tolist()
        row["clip_i_per_reference"] = (0.2 * closeness + rng.normal(0, 1, len(sorts))).tolist()
        if references:
            rows.append(row)
    return rows


def write_run(run: Path, rows: list[Row]) -> Path:
    names = ("clip_i", "cp.leak")
    lists = [pa.field(f"{name}_per_reference", LISTS) for name in names]
    footer = json.dumps({"fingerprint": {"weights": "w"}, "source": {}})
    write_part(str(run), "part", rows, footer, pa.schema([*schema_with(*names), *lists]))
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", orida())


def pairs_of(rows: list[Row], column: str) -> tuple[np.ndarray, np.ndarray]:
    """(P,) scores and whether they are within."""
    scores = [s for row in rows for s in row[f"{column}_per_reference"]]
    words = [w for row in rows for w in json.loads(row["extra"])["pair"]]
    return np.array(scores), np.array(words) == "within"


@pytest.mark.parametrize("column", ["cp", "clip_i"])
def test_every_figure_is_that_of_an_independent_reading(run: Path, column: str) -> None:
    rows, found = orida(), document(run)
    assert list(found) == ["cp", "clip_i"]
    own, (scores, is_within) = found[column], pairs_of(rows, column)
    assert (own["n_within"], own["n_cross"]) == (36, 36)
    assert own["auc"] == pytest.approx(roc_auc_score(is_within, scores), abs=1e-12)
    within, cross = scores[is_within], scores[~is_within]
    assert own["mean_within"] == pytest.approx(within.mean(), abs=1e-12)
    assert own["mean_cross"] == pytest.approx(cross.mean(), abs=1e-12)
    assert own["std_within"] == pytest.approx(np.sqrt(((within - within.mean()) ** 2).mean()))
    assert own["delta"] == pytest.approx(within.mean() - cross.mean(), abs=1e-12)
    scaled = (scores - scores.min()) / (scores.max() - scores.min())
    expected = scaled[is_within].mean() - scaled[~is_within].mean()
    assert own["delta_normalised"] == pytest.approx(expected, abs=1e-12)
    assert own["ci"][0] < own["auc"] < own["ci"][1]
    assert own["ci_delong"][0] < own["auc"] < own["ci_delong"][1]
    precisions = []
    for row in rows:
        words = np.array(json.loads(row["extra"])["pair"]) == "within"
        if words.any() and not words.all():
            precisions.append(average_precision_score(words, row[f"{column}_per_reference"]))
    assert own["n_queries"] == len(precisions) > 5
    assert own["map"] == pytest.approx(np.mean(precisions), abs=1e-12)


def test_what_has_no_score_is_counted_by_cause(tmp_path: Path) -> None:
    rows = orida()
    rows[0] |= {"status": "error", "cp_per_reference": None, "clip_i_per_reference": None}
    rows[1]["cp_per_reference"][0] = NAN
    rows[2]["clip_i_per_reference"] = None
    rows[3]["extra"] = json.dumps({"other": 1})
    rows[4] |= {"status": "error", "concept": None, "extra": None, "references": None}
    rows[4] |= {"cp_per_reference": None, "clip_i_per_reference": None}
    run = write_run(tmp_path / "run", rows)
    found = document(run)
    n = [len(row["references"] or []) for row in rows]
    assert found["cp"]["left_out"] == {"error": n[0], "NaN": 1}
    assert found["clip_i"]["left_out"] == {"error": n[0], "null": n[2]}
    kept = [row for at, row in enumerate(rows) if at not in (0, 3, 4)]
    scores, is_within = pairs_of(kept, "cp")
    is_scored = ~np.isnan(scores)
    expected = roc_auc_score(is_within[is_scored], scores[is_scored])
    assert found["cp"]["auc"] == pytest.approx(expected, abs=1e-12)
    done = identify(f"run={run}")
    assert "rows without pairs: 1 no extra.pair, 1 error" in done.stdout


def test_a_column_that_no_row_has_is_left_out_unless_it_is_asked_for(run: Path) -> None:
    assert "cp.leak" not in document(run)
    done = identify(f"run={run}", "columns=cp.leak")
    assert done.returncode == 1
    assert "cp.leak has no scored pair of each sort: 72 null" in " ".join(done.stderr.split())
    assert list(document(run, "columns=clip_i")) == ["clip_i"]


def test_one_model_at_a_time_is_looked_at(run: Path, tmp_path: Path) -> None:
    turned = [
        {**row, "model": "turned", "cp_per_reference": [-x for x in row["cp_per_reference"]]}
        for row in orida()
    ]
    two = write_run(tmp_path / "two", [*orida(), *turned])
    done = identify(f"run={two}")
    assert done.returncode == 1
    assert "model= is required: the run has orida, turned" in done.stderr
    assert document(two, "model=orida") == document(run)
    auc = document(run)["cp"]["auc"]
    assert document(two, "model=turned")["cp"]["auc"] == pytest.approx(1 - auc)
    done = identify(f"run={two}", "model=who")
    assert (done.returncode, "model=who: the run has orida, turned" in done.stderr) == (1, True)


def test_the_interval_of_map_lies_within_what_it_can_be(run: Path) -> None:
    """Over six subjects, t's own would end at 1.06."""
    found = document(run)["cp"]
    assert found["map_ci"] == [pytest.approx(0.606, abs=1e-3), 1.0]


def test_the_forms_are_written(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = identify(f"run={run}", f"out={out}", "figures=true")
    assert done.returncode == 0
    names = ["json", "md", "tex"]
    images = [f"{name}.{kind}" for name in ("roc", "violin") for kind in figures.FORMATS]
    assert {path.name for path in out.iterdir()} == {*(f"identify.{n}" for n in names), *images}
    assert list(json.loads((out / "identify.json").read_text())) == ["cp", "clip_i"]
    assert "| cp " in (out / "identify.md").read_text()
    assert r"clip\_i" in (out / "identify.tex").read_text()
    for name in ("roc", "violin"):
        root = ElementTree.fromstring((out / f"{name}.svg").read_bytes())
        assert "clip_i" in "".join(root.itertext())


def test_equal_runs_make_equal_figures(run: Path, tmp_path: Path) -> None:
    for name in ("1", "2"):
        assert identify(f"run={run}", f"out={tmp_path / name}").returncode == 0
    for path in (tmp_path / "1").iterdir():
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes(), path.name


def test_where_subjects_are_told_apart_without_fail_that_is_said(tmp_path: Path) -> None:
    rows = orida()
    for row in rows:
        words = json.loads(row["extra"])["pair"]
        row["cp_per_reference"] = [1.0 if word == "within" else 0.0 for word in words]
    run = write_run(tmp_path / "run", rows)
    own = document(run)["cp"]
    assert (own["auc"], own["ci"], own["map"], own["delta_normalised"]) == (1.0, [1.0, 1.0], 1, 1)
    assert "the data do not tell how wide the interval is" in identify(f"run={run}").stdout


def all_within(rows: list[Row]) -> None:
    for row in rows:
        row["extra"] = json.dumps({"pair": ["within"] * len(row["references"])})
        row["references"] = [
            f"{row['concept']}/{n}" for n in range(90, 90 + len(row["references"]))
        ]


def no_pairs(rows: list[Row]) -> None:
    for row in rows:
        row["extra"] = None


def swapped(rows: list[Row]) -> None:
    words = json.loads(rows[8]["extra"])["pair"]
    words[0] = "cross"
    rows[8]["extra"] = json.dumps({"pair": words})


def set_extra(pair: Any) -> Callable[[list[Row]], None]:
    return lambda rows: rows[5].update(extra=json.dumps({"pair": pair}))


def set_references(rows: list[Row]) -> None:
    rows[5]["references"][0] = rows[5]["key"]


def drop_score(rows: list[Row]) -> None:
    rows[5]["cp_per_reference"].pop()


def infinite(rows: list[Row]) -> None:
    rows[5]["cp_per_reference"][0] = float("inf")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (no_pairs, "no row has extra.pair, which says within or cross of each reference"),
        (set_extra(["within"]), "extra.pair says 1 things, of"),
        (set_extra("within"), "extra.pair is 'within', expected a list"),
        (set_extra(["same"] * 9), "extra.pair says 9 things, of"),
        (lambda rows: rows[5].update(extra="{"), "its extra is not JSON"),
        (set_references, "it is paired with itself"),
        (drop_score, "cp_per_reference has"),
        (infinite, "cp_per_reference: a score is infinite"),
        (lambda rows: rows.append(dict(rows[5])), "2 rows; each pair would count as often"),
        (all_within, "no pair is cross: nothing to tell apart"),
        (swapped, "is cross for it, and within for others of its subject"),
    ],
)
def test_pairs_that_cannot_be_are_one_line(
    tmp_path: Path, change: Callable[[list[Row]], None], said: str
) -> None:
    rows = orida()
    change(rows)
    done = identify(f"run={write_run(tmp_path / 'run', rows)}")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["columns=pf"], "columns=pf: it has no pf_per_reference; there are cp, clip_i, cp.leak"),
        (["out=hf://x"], "every file written to the hub would be a commit"),
        (["run=nowhere"], "nothing scored there, no scores/*.parquet"),
    ],
)
def test_calls_that_cannot_be_meant_are_one_line(run: Path, words: list[str], said: str) -> None:
    done = identify(f"run={run}", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in " ".join(done.stderr.split())


@pytest.mark.slow
def test_as_a_process_of_its_own(run: Path) -> None:
    done = command("identify", f"run={run}", "--json")
    assert (done.returncode, list(json.loads(done.stdout))) == (0, ["cp", "clip_i"])
