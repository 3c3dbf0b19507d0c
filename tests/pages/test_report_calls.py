"""The page after `jobs.evaluate report=true`, and a run written for FiftyOne in its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.evaluate import evaluate_command
from jobs.pages import reporting
from jobs.pipeline.command.call import run_command
from jobs.pipeline.errors import StorageError
from jobs.pipeline.evaluation import EvaluateConfig
from tests.in_process import without_ray
from tests.pages import runs
from tests.pages.scored import write_shards


def evaluate(folder: Path, *words: str) -> int:
    """The command's own function, without Ray."""
    asked = [
        f"samples={folder}/generations-*.tar",
        f"references={folder}/references-*.tar",
        f"run={folder}/run",
        "encoder.name_or_path=demo",
    ]
    return run_command("evaluate", EvaluateConfig, evaluate_command, [*asked, *words])


def test_an_evaluation_ends_with_the_page_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_ray(monkeypatch)
    folder = write_shards(tmp_path)
    page = folder / "run" / "report" / "index.html"
    assert evaluate(folder) == 0
    assert not page.exists()
    assert evaluate(folder, "report=true") == 0
    assert runs.data_in(page)["counts"]["n_ok"] == 8
    assert page.read_text().count('class="g-item') == 8
    page.unlink()

    def fails(*_: object) -> None:
        raise StorageError("run", "no room")

    monkeypatch.setattr(reporting, "write_files", fails)
    assert evaluate(folder, "report=true") == 3
    assert "the report could not be written: run: no room" in caplog.text
    assert not page.exists()


def test_a_run_is_written_for_fiftyone_and_no_page(scored: Path, tmp_path: Path) -> None:
    words = [f"run={scored}/run", "export=fiftyone", "gallery=2", "heatmaps=off"]
    done = runs.report(*words, f"out={tmp_path}/fo", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"out": f"{tmp_path}/fo", "n_samples": 2}
    assert (tmp_path / "fo" / "samples.json").is_file()
    assert not list(tmp_path.glob("**/index.html"))
    assert "out= is required with export=fiftyone" in runs.report(*words).stderr
