"""One page, and one browser, for all tests of the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.pages import runs
from tests.pages.browser import browsing


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything on it, of a run whose names a stranger chose."""
    folder = tmp_path_factory.mktemp("page")
    rows = runs.rows_of_page()

    def was_better(row: runs.Row) -> None:
        if row["model"] == runs.PLAIN and row["status"] == "ok":
            row["cp"] += 0.05

    run = runs.write_run(folder / "run", rows)
    (run / "run.json").write_text(json.dumps(runs.described_early()))
    baseline = runs.write_run(folder / "baseline", runs.changed(rows, was_better))
    (folder / "history.parquet").write_bytes(runs.history_of(8))
    ratings = ["model,concept,prompt_id,seed,rater,rating"]
    for row in rows:
        if row["status"] == "ok" and row["cp"] == row["cp"] and row["model"] != runs.LONELY:
            name, prompt = (row[key].replace('"', '""') for key in ("model", "prompt"))
            rating = min(4, max(0, round(5 * row["cp"])))
            ratings += [f'"{name}",{row["concept"]},"{prompt}",0,{who},{rating}' for who in "ab"]
    (folder / "ratings.csv").write_text("\n".join(ratings))
    words = [f"run={run}", f"baseline={baseline}", f"history={folder}/history.parquet"]
    done = runs.report(*words, f"ratings={folder}/ratings.csv", "gallery=0")
    assert done.returncode == 0, done.stderr
    return run / "report" / "index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One a file: while Playwright runs, nothing else in the process can run a loop of events."""
    with browsing() as started:
        yield started
