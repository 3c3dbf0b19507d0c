"""Keys that come in more than one shard are said, and no others."""

from __future__ import annotations

import logging
from pathlib import Path

import duckdb
import pytest

from jobs.pipeline.results import duplicates
from jobs.pipeline.results.duplicates import Duplicates, find_duplicates
from jobs.pipeline.results.summary import summarise_run, summarise_runs
from tests.pipeline.results.test_summary import Row, sample, write_part


def keyed(key: str, model: str = "m") -> Row:
    return sample(model) | {"key": key}


def found_in(*parts: dict[str, str], by_model: bool = False) -> Duplicates | None:
    """Of parts that hold these keys, each of a model."""
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE scores (key TEXT, model TEXT, filename TEXT)")
        rows = [
            (key, model, f"/run/scores/{number}.parquet")
            for number, part in enumerate(parts)
            for key, model in part.items()
        ]
        connection.executemany("INSERT INTO scores VALUES (?, ?, ?)", rows)
        return find_duplicates(connection, len(rows), by_model)


def of_one_model(*keys: str) -> dict[str, str]:
    return dict.fromkeys(keys, "m")


def test_keys_of_their_own_are_no_duplicates() -> None:
    assert found_in(of_one_model("a", "b"), of_one_model("c")) is None


def test_a_key_in_two_parts_is_counted_once_and_the_first_is_shown() -> None:
    found = found_in(of_one_model("b", "a", "x"), of_one_model("c", "b"), of_one_model("a", "b"))
    assert found == Duplicates(2, 1, "a", ("0.parquet", "2.parquet"))
    assert str(found) == (
        "2 keys come in more than one shard, and are counted in each: "
        "'a' in 0.parquet and in 2.parquet"
    )


def test_a_key_twice_in_one_part_is_of_one_shard() -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE scores (key TEXT, model TEXT, filename TEXT)")
        connection.execute("INSERT INTO scores VALUES ('a', 'm', 'f'), ('a', 'm', 'f')")
        assert find_duplicates(connection, 2, by_model=False) is None


def test_among_several_runs_another_models_key_is_another() -> None:
    assert found_in({"a": "m"}, {"a": "n"}, by_model=True) is None
    found = found_in({"a": "m"}, {"a": "n"}, {"a": "m"}, by_model=True)
    assert found is not None and found.n == 1
    assert found_in({"a": "m"}, {"a": "n"}) is not None


@pytest.mark.slow
def test_of_too_many_keys_one_in_sixty_four_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "KEYS_AT_ONCE", 10_000)
    keys = of_one_model(*(f"key-{number}" for number in range(6_400)))
    found = found_in(keys, keys)
    assert found is not None
    assert found.share == 64
    assert 60 < found.n < 150  # a hundred, give or take four times its standard deviation
    with duckdb.connect() as connection:
        chosen = [
            key
            for key in keys
            if connection.execute("SELECT hash(?) % 64", [key]).fetchone() == (0,)
        ]
    assert found.n == len(chosen)
    assert found.example == min(chosen)


def test_the_summary_warns_of_them_and_says_so_in_its_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = str(tmp_path)
    write_part(run, "one", [keyed("a"), keyed("b")])
    write_part(run, "two", [keyed("b")])
    summary = summarise_run(run)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    said = (
        "1 keys come in more than one shard, and are counted in each: "
        "'b' in one.parquet and in two.parquet"
    )
    assert warnings == [f"run={run}: {said}"]
    assert said in (tmp_path / "summary" / "leaderboard.md").read_text()
    assert summary.document()["duplicates"]["n"] == 1


def test_runs_of_a_model_each_on_the_same_prompts_hold_no_duplicates(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for model in ("a", "b"):
        write_part(f"memory://run-of-{model}", "part", [keyed("same", model)])
    out = "memory://both/summary"
    assert summarise_runs(["memory://run-of-a", "memory://run-of-b"], out).duplicates is None
    assert not caplog.records
