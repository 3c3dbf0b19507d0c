"""What is said of figures that mislead a reader who does not know where they come from."""

from __future__ import annotations

import logging
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline.results.notes import look_alikes
from jobs.pipeline.results.summary import Summary, summarise_run
from tests.pipeline.results.test_summary import sample, schema_with, unscored, write_part

COMPOSED = "caf\u00e9"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


def summary_of(run: Path, *parts: list[dict[str, Any]], scores: tuple[str, ...] = ()) -> Summary:
    for number, rows in enumerate(parts):
        write_part(str(run), f"part-{number}", rows, schema=schema_with(*scores))
    return summarise_run(str(run))


def test_names_that_a_reader_would_take_for_one_another_are_found() -> None:
    assert look_alikes(["m", "m ", "M", "n", "m-2", "a b", "a  b", "a\u00a0b"]) == [
        ["M", "m", "m "],
        ["a  b", "a b", "a\u00a0b"],
    ]
    assert look_alikes([COMPOSED, DECOMPOSED, "cafe"]) == [[DECOMPOSED, COMPOSED]]
    assert look_alikes(["m1", "m2", ""]) == []


def test_models_and_concepts_that_look_alike_are_said_in_the_log_and_in_the_leaderboard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [sample("m", COMPOSED), sample("m ", DECOMPOSED), sample(None, None)]
    summary = summary_of(tmp_path, rows)
    assert summary.notes == [
        "models that differ only in spaces, case or the Unicode form of their letters count "
        "apart: 'm', 'm '",
        "concepts that differ only in spaces, case or the Unicode form of their letters count "
        r"apart: 'cafe\u0301', 'caf\xe9'",
    ]
    warned = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert warned == [f"run={tmp_path}: {note}" for note in summary.notes]
    assert "models that differ only in spaces" in (tmp_path / "summary/leaderboard.md").read_text()


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([0.1, 0.2, float("nan")], None),
        ([0.1, None, None], "cp@sam is missing in 2 of 3 rows"),
        ([None, None, None], "cp@sam is missing in all rows"),
    ],
)
def test_a_score_that_rows_lack_is_said_since_its_mean_is_over_other_samples(
    tmp_path: Path, values: list[float | None], note: str | None
) -> None:
    rows = [sample("m", concept) | {"cp@sam": x} for concept, x in zip("abc", values, strict=True)]
    rows += [unscored("error") | {"cp@sam": None}]
    expected = [] if note is None else [f"{note} that are ok; the column `error` says why"]
    assert summary_of(tmp_path, rows, scores=("cp@sam",)).notes == expected


def test_a_score_that_whole_parts_lack_is_said_once(tmp_path: Path) -> None:
    write_part(str(tmp_path), "old", [sample()])
    rows = [sample() | {"cp.leak": 0.5}]
    assert summary_of(tmp_path, rows, scores=("cp.leak",)).notes == ["cp.leak in 1 of 2 parts"]


def test_shards_without_a_sample_are_said(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, [sample()], [], [])
    assert summary.notes == ["2 parts are of shards that hold no sample"]
    assert (summary.parts, summary.counts.n) == (3, 1)


def test_rows_of_a_status_that_is_none_are_said(tmp_path: Path) -> None:
    rows = [sample(status=status) for status in ("ok", "OK", "done", "error")]
    assert summary_of(tmp_path, rows).notes == [
        "2 rows have a status that is none of ok, skipped, error"
    ]


@pytest.mark.parametrize(
    ("cp", "note"),
    [
        ((-1.0, 1.0), None),
        ((0.1, 1.0000001), None),
        ((35.5, 80.25), "cp goes from 35.5 to 80.25, and is a cosine where this job computed it"),
        ((-3.0, 0.5), "cp goes from -3 to 0.5, and is a cosine where this job computed it"),
        ((None, float("nan")), None),
    ],
)
def test_scores_of_another_scale_are_said(
    tmp_path: Path, cp: tuple[float | None, float | None], note: str | None
) -> None:
    rows = [sample(name, cp=value, pf=0.5) for name, value in zip("mn", cp, strict=True)]
    said = [each for each in summary_of(tmp_path, rows).notes if "cosine" in each]
    assert said == ([] if note is None else [note])
