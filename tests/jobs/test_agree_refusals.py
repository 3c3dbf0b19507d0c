"""What `python -m jobs.agree` refuses: ratings, metrics and calls that cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs.test_agree import Row, agree, rated, scored, write_csv, write_run


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "ratings.csv", rated())


def spoilt(change: str) -> list[Row]:
    """Ratings with one thing wrong."""
    rows = rated()
    match change:
        case "twice":
            rows.append(dict(rows[4]))
        case "text":
            rows[5]["rating"] = "good"
        case "comma":
            rows[5]["rating"] = "3,5"
        case "infinite":
            rows[5]["rating"] = "inf"
        case "no rater":
            rows[5]["rater"] = ""
        case "no concept":
            rows = [{name: v for name, v in row.items() if name != "concept"} for row in rows]
        case "other column":
            rows = [{**row, "consistency": 1, "rating": ""} for row in rows]
        case "nothing":
            rows = [{**row, "rating": ""} for row in rows]
    return rows


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("twice", "row 145: rater y has rated a, c0, prompt 1 before"),
        ("text", "row 6: rating is 'good', expected a number"),
        ("comma", "row 6: rating is '3,5', expected a number"),
        ("infinite", "row 6: rating is infinite"),
        ("no rater", "row 6: rater is empty"),
        ("no concept", "no column 'concept'; it has model, prompt_id, rater, rating"),
        ("other column", "no column 'rating'; rating= names one of consistency"),
        ("nothing", "no column 'rating'"),
    ],
)
def test_ratings_that_cannot_be_meant_are_one_line(tmp_path: Path, change: str, said: str) -> None:
    done = agree(f"ratings={write_csv(tmp_path / 'r.csv', spoilt(change))}")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in " ".join(done.stderr.split())


METRIC = {"model": "a", "concept": "c0", "prompt_id": "0", "mine": "0.5"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([METRIC, METRIC], "row 2: a, c0, prompt 0 is in columns="),
        ([METRIC, {**METRIC, "prompt_id": 1, "mine": "high"}], "row 2: mine is 'high', expected a"),
        ([{**METRIC, "mine": "high"}], "no column of numbers beside those that tell samples apart"),
        ([{**METRIC, "model": "c"}], "mine has no value for any rated sample: 48 no row"),
        ([METRIC, {**METRIC, "concept": ""}], "row 2: concept is empty"),
        ([{**METRIC, "concept": ""}], "no column 'concept'; it has model, prompt_id, mine"),
    ],
)
def test_metrics_that_cannot_be_meant_are_one_line(
    table: Path, tmp_path: Path, rows: list[Row], said: str
) -> None:
    columns = write_csv(tmp_path / "columns.csv", rows)
    done = agree(f"ratings={table}", f"columns={columns}")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["protocol=dreambench"], "protocol=dreambench: expected table, dreambenchplus"),
        (["level=nominal"], "level=nominal: expected interval, ordinal"),
        (["metrics=dreamsim"], "metrics=dreamsim: no such column; there are cp, pf, clip_i"),
        (["rating=model"], "rating=model: a rating is a column of its own, not model"),
        (["metrics=cp.leak"], "metrics=cp.leak: no such column"),
        (["out=memory://x"], "out=memory://x: memory ends with this process"),
        (["check=table"], "check=table: expected dreambenchplus"),
        (["check=dreambenchplus"], "runs= does not go with check="),
    ],
)
def test_calls_that_cannot_be_meant_are_one_line(
    table: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    run = write_run(tmp_path / "run", scored(rated()))
    done = agree(f"ratings={table}", f"runs={run}", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in " ".join(done.stderr.split())


def test_ratings_of_other_samples_than_the_runs_are_no_figure(tmp_path: Path) -> None:
    table = write_csv(
        tmp_path / "r.csv", [{**row, "model": f"other-{row['model']}"} for row in rated()]
    )
    run = write_run(tmp_path / "run", scored(rated()))
    done = agree(f"ratings={table}", f"runs={run}", "metrics=cp")
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "no row of the runs is of a rated sample; the first is of {'model': 'a', " in said
    assert "rated is (other-a, c0, prompt 0)" in said
