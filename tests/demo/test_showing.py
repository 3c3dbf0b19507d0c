"""`jobs.demo` from nothing to a leaderboard; here with few concepts, and no Ray."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from jobs import demo
from tests.commands import rows_of
from tests.in_process import without_ray


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["demo", *words])
    return demo.main()


@pytest.mark.slow
def test_it_renders_packs_and_scores_and_a_second_call_does_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_ray(monkeypatch)
    out = tmp_path / "a new place"
    assert call(monkeypatch, f"out={out}", "concepts=2", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["run"] == str(out / "run")
    assert told["page"] == str(out / "run" / "report" / "index.html")
    assert "wrong_subject" in Path(told["page"]).read_text()
    assert told["counts"] == {"n": 24, "n_ok": 24, "n_skipped": 0, "n_error": 0}
    rows = rows_of(out / "run")
    models = {row["model"] for row in rows}
    assert models == {"faithful", "wrong_scene", "wrong_subject", "damaged", "copy_paste", "noise"}
    assert all(row["cp.leak"] is not None for row in rows)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.tar")}
    assert call(monkeypatch, f"out={out}", "concepts=2") == 0
    assert "faithful" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.tar")} == before
    assert call(monkeypatch, f"out={out}", "concepts=3") == 1
    assert "holds a demo of 2" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_a_wrong_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert call(monkeypatch, f"out={tmp_path}/file") == 1
    assert f"out={tmp_path}/file" in " ".join(capsys.readouterr().err.split())
    assert call(monkeypatch, f"out={tmp_path}", "concepts=1") == 1
