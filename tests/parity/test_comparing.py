"""What `make comparators` says of figures, and whether it fails."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline.errors import CallError
from tests.parity import __main__ as command
from tests.parity.comparing import Comparison, largest_difference, systems

EQUAL: dict[str, Any] = {
    "system": "a",
    "checkpoint": "small",
    "loaded": "so",
    "compared_with": "b 1",
    "n": 2,
    "spread": 0.5,
    "difference": 1e-5,
    "is_recorded": True,
}


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "equal"),
        ({"difference": 1.1e-5}, "DIFFERS"),
        ({"difference": math.nan}, "DIFFERS"),
        ({"spread": 1e-4}, "SHOWS NOTHING: all figures are alike"),
        ({"is_recorded": False}, "RECORD IS OLD: record=true writes it"),
    ],
)
def test_the_verdict_names_what_is_wrong(changed: dict[str, Any], verdict: str) -> None:
    assert Comparison(**{**EQUAL, **changed}).verdict == verdict


@pytest.mark.parametrize(
    ("theirs", "ours", "difference"),
    [
        ([0.5, 0.25], [0.5, 0.125], 0.125),
        ([8.0, 0.0], [8.0, 1.0], 0.125),  # a share of the largest of theirs
        ([-8.0, 0.0], [-8.0, 1.0], 0.125),
    ],
)
def test_a_difference_is_on_the_scale_of_the_figures(
    theirs: list[float], ours: list[float], difference: float
) -> None:
    assert largest_difference(theirs, ours) == difference


def test_no_figure_equals_nan_and_none_may_be_missing() -> None:
    assert math.isnan(largest_difference([0.5, math.nan], [0.5, math.nan]))
    with pytest.raises(ValueError, match="shorter"):
        largest_difference([0.5, 0.5], [0.5])


@pytest.mark.parametrize(
    ("changed", "status"), [({}, 0), ({"difference": 1.0}, 1), ({"spread": 0.0}, 1)]
)
def test_it_fails_where_one_differs(
    changed: dict[str, Any],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "are_there", lambda: True)
    monkeypatch.setattr(command, "systems", lambda: ["a"])
    monkeypatch.setattr(command, "by_the_authors", lambda *_: [Path("small"), Path("full")])
    found = iter([Comparison(**EQUAL), Comparison(**{**EQUAL, **changed})])
    monkeypatch.setattr(command, "compare", lambda *_: next(found))
    assert command.parity(command.ParityConfig(), as_json=False) == status
    assert capsys.readouterr().out.count("small") == 2


def test_it_fails_where_one_could_not_be_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> list[Path]:
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(command, "are_there", lambda: True)
    for by_the_authors in (broken, lambda *_: []):
        monkeypatch.setattr(command, "by_the_authors", by_the_authors)
        assert command.parity(command.ParityConfig(only=["imagereward"]), as_json=False) == 1
        assert "NOT COMPARED" in capsys.readouterr().out


def test_an_unknown_system_is_one_line() -> None:
    assert {"imagereward", "hpsv3", "vqascore"} <= {*systems()}
    with pytest.raises(CallError, match=r"^only=nothing: no such system; known: .*imagereward"):
        command.parity(command.ParityConfig(only=["nothing"]), as_json=False)
