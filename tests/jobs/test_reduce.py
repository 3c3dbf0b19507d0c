"""`python -m jobs.reduce`, as it is called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.results.test_summary import sample, unscored, write_part

ROOT = Path(__file__).parents[2]


def reduce(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobs.reduce", *words], capture_output=True, text=True, cwd=ROOT
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two models in two parts."""
    write_part(str(tmp_path / "run"), "one", [sample("good", "a", 0.9), sample("good", "b", 0.8)])
    write_part(str(tmp_path / "run"), "two", [sample("poor", "a", 0.1), unscored("error", "poor")])
    return tmp_path / "run"


def test_stdout_is_the_leaderboard_and_stderr_says_where_the_files_are(run: Path) -> None:
    done = reduce(f"run={run}")
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
