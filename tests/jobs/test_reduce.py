"""`python -m jobs.reduce`, as it is called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import Run, command, here
from tests.pipeline.results.test_summary import sample, schema_with, unscored, write_part

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def reduce(*words: str) -> Run:
    return here("reduce", *words)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two models in two parts."""
    write_part(str(tmp_path / "run"), "one", [sample("good", "a", 0.9), sample("good", "b", 0.8)])
    write_part(str(tmp_path / "run"), "two", [sample("poor", "a", 0.1), unscored("error", "poor")])
    return tmp_path / "run"


def test_stdout_is_the_leaderboard_and_stderr_says_where_the_files_are(run: Path) -> None:
    done = command("reduce", f"run={run}")
    assert done.returncode == 0, done.stderr
    header, _, *rows = done.stdout.splitlines()
    assert header.split()[:3] == ["#", "model", "n"]
    assert [row.split()[:3] for row in rows] == [["1", "good", "2"], ["2", "poor", "2"]]
    assert f"{run}/summary" in done.stderr


def test_json_is_the_one_document_on_stdout(run: Path) -> None:
    done = reduce(f"run={run}", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["counts"] == {"n": 4, "n_ok": 3, "n_skipped": 0, "n_error": 1}
    assert done.stdout == (run / "summary" / "summary.json").read_text()


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A run of one more model, with a further score."""
    rows = [sample("other", concept, 0.5) | {"cp.leak": 0.25} for concept in ("a", "b")]
    write_part(str(tmp_path / "other"), "three", rows, schema=schema_with("cp.leak"))
    return tmp_path / "other"


def test_several_runs_are_reduced_as_one(run: Path, other: Path, tmp_path: Path) -> None:
    done = reduce(f"run=[{run},{other}]", f"out={tmp_path}/both", "show=[cp.leak]")
    assert done.returncode == 0, done.stderr
    header, _, *rows = done.stdout.splitlines()
    assert "cp.leak (95 % CI)" in header
    assert [row.split()[1] for row in rows] == ["good", "other", "poor"]
    assert "cp.leak in 1 of 3 parts" in done.stderr
    assert f"wrote {tmp_path}/both" in done.stderr
    assert (tmp_path / "both" / "leaderboard.md").is_file()
    assert not (run / "summary").exists() and not (other / "summary").exists()


def test_several_runs_need_a_place_for_their_summary(run: Path, other: Path) -> None:
    done = reduce(f"run=[{run},{other}]")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "out= is required" in line


@pytest.mark.parametrize("out", ["memory://x", "hf://datasets/me/runs/x"])
def test_a_summary_that_would_be_lost_or_a_commit_a_file_is_refused(run: Path, out: str) -> None:
    done = reduce(f"run={run}", f"out={out}")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"jobs.reduce: out={out}: ")
    assert line.endswith("; name a directory or a bucket")


def test_a_score_column_that_is_not_there_is_one_line_that_names_those_that_are(
    other: Path,
) -> None:
    stale = json.dumps({"source": {"url": f"{other.parent}/gone.tar", "size": 1, "tag": "1"}})
    write_part(str(other), "stale", [sample("stale")], stale, schema_with("pf.fg.full"))
    for word in ("show=clip_i", "show=[cp.leak,pf.fg.full]"):
        done = reduce(f"run={other}", word, "prune=true")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].endswith(
            ": no such score column; known: cp, pf, cp.leak"
        )
    # It was seen before a row was read.
    assert not (other / "summary").exists()
    assert (other / "scores" / "stale.parquet").exists()


def test_cp_and_pf_may_be_asked_for_too_and_are_shown_once(other: Path) -> None:
    done = reduce(f"run={other}", "show=[pf,cp.leak,cp]")
    assert done.returncode == 0, done.stderr
    header = done.stdout.splitlines()[0]
    assert [header.count(f"{name} (95 % CI)") for name in ("CP", "PF", "cp.leak")] == [1, 1, 1]


def test_parts_whose_shard_is_gone_are_left_out_and_removed_when_asked(run: Path) -> None:
    source = {"url": f"{run.parent}/gone.tar", "size": 1, "tag": "1"}
    footer = json.dumps({"fingerprint": {"weights": "w"}, "source": source})
    write_part(str(run), "stale", [sample("stale")], footer)
    done = reduce(f"run={run}")
    assert done.returncode == 0, done.stderr
    assert "stale" not in done.stdout
    assert "stale.parquet (gone)" in done.stderr
    assert (run / "scores" / "stale.parquet").exists()
    assert reduce(f"run={run}", "prune=true").returncode == 0
    assert not (run / "scores" / "stale.parquet").exists()


def test_a_run_that_is_not_there_is_one_line_and_status_1(tmp_path: Path) -> None:
    done = reduce(f"run={tmp_path / 'nowhere'}", "--json")
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("jobs.reduce: ") and "nowhere" in line
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("words", "complaint"), [((), "run= is required"), (("runn=x",), "did you mean 'run'?")]
)
def test_a_wrong_call_is_one_line_and_status_1(words: tuple[str, ...], complaint: str) -> None:
    done = reduce(*words)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert complaint in line


def test_it_needs_neither_ray_nor_torch(run: Path) -> None:
    code = (
        "import sys, jobs.reduce\n"
        f"sys.argv = ['reduce', {f'run={run}'!r}]\n"
        "assert jobs.reduce.main() == 0\n"
        "sys.exit(' '.join({'ray', 'torch'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
