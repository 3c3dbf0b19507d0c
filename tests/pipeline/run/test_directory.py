"""A run's directory whose record was written by hand, or by another program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.pipeline.errors import CallError
from jobs.pipeline.run.directory import RunDirectory
from tests.runs import open_for


@pytest.mark.parametrize("fingerprint", [3, "text", ["a"], None])
def test_a_fingerprint_that_is_no_object_is_a_wrong_call(
    fingerprint: object, tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"fingerprint": fingerprint}))
    with pytest.raises(CallError, match=r"run\.json has a fingerprint that is no JSON object"):
        open_for(RunDirectory(str(tmp_path)), {"encoder.weights": "w"}, overwrite=False)


def test_a_run_is_started_anew_whatever_its_record_says(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"fingerprint": 3}')
    open_for(RunDirectory(str(tmp_path)), {"encoder.weights": "w"}, overwrite=True)
    assert not (tmp_path / "run.json").exists()


def test_overwrite_removes_what_a_run_writes_and_nothing_else(tmp_path: Path) -> None:
    ours = ["run.json", "scores/a.parquet", "failed/a.json", "summary/model_concept.parquet"]
    theirs = ["scores/exam.csv", "summary/thesis.md", "report/mine.html", "notes.txt"]
    for name in [*ours, *theirs]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    RunDirectory(str(tmp_path)).open(overwrite=True)
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert left == sorted(theirs)


def test_what_begins_with_a_dot_is_no_part(tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    for name in ("a", ".a", "._a"):
        (tmp_path / "scores" / f"{name}.parquet").write_bytes(b"")
    assert RunDirectory(str(tmp_path)).parts() == ["a"]
