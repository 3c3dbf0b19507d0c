"""The page that a night leaves, by the nightly job's own steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.pages.reporting import night_page
from jobs.pipeline.errors import CallError
from tests.nights import nights_at
from tests.pages.runs import data_in


def test_a_night_leaves_a_page_of_what_changed_and_of_the_trend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nights_at(str(tmp_path)) as nights:
        monkeypatch.setattr("jobs.nightly.night_page", night_page)
        nights.complete("step-1")
        nights.complete("step-2", drop=0.1)
        done = nights.call()
        assert done.returncode == 4, done.stderr
        first, second = (
            Path(nights.home, "runs", name, "report", "index.html") for name in ("step-1", "step-2")
        )
        rows = nights.history()
    assert data_in(first)["comparison"] is None
    data = data_in(second)
    assert data["comparison"]["verdict"] == "regressed"
    assert data["comparison"]["cp"]["delta"] == rows[1]["cp_delta"]
    assert [row["checkpoint"] for row in data["history"]] == ["step-1", "step-2"]
    assert data["history"][1]["cp_mean"] == rows[1]["cp_mean"]
    assert "▼ regressed" in second.read_text()
    assert "the history has no row" not in second.read_text()


def test_a_night_without_a_page_is_a_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> dict[str, bytes]:
        raise CallError("no room")

    with nights_at(str(tmp_path)) as nights:
        monkeypatch.setattr("jobs.nightly.night_page", fails)
        nights.complete("step-1")
        done = nights.call()
        assert done.returncode == 0, done.stderr
        assert "step-1 has no page: no room" in done.stderr
        assert [row["checkpoint"] for row in nights.history()] == ["step-1"]
