"""Rows of runs: columns by name, parts of one version, and what their footers say of them."""

from __future__ import annotations

import itertools
import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.run import scores as scores_module
from jobs.pipeline.run.rows import SCORES_SCHEMA
from jobs.pipeline.run.scores import ALWAYS, Part, Scores, open_scores
from tests.pipeline.results.test_summary import sample, schema_with, write_part

columns_of_part = scores_module._columns
LEAN = pa.schema([SCORES_SCHEMA.field(name) for name in ALWAYS])
runs = (f"memory://scores-{number}" for number in itertools.count())


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.services)])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty run."""
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"
    return str(tmp_path / "run") if request.param == "local" else next(runs)


def rows_of(scores: Scores, *columns: str) -> list[dict[str, Any]]:
    """The rows as DuckDB reads them; equal to those in the Arrow table."""

    def ask(source: str) -> list[dict[str, Any]]:
        with duckdb.connect() as connection:
            found = connection.sql(f"SELECT * EXCLUDE (filename) FROM ({source})").to_arrow_table()
        assert found.column_names == scores.schema.names
        return found.to_pylist()

    rows = scores.query(ask)
    key = lambda row: (row["key"], str(row))  # noqa: E731
    assert sorted(rows, key=key) == sorted(scores.table().to_pylist(), key=key)
    return [{name: row[name] for name in columns} for row in sorted(rows, key=key)]


def test_a_column_is_matched_by_name_and_null_where_a_part_lacks_it(run: str) -> None:
    write_part(run, "a", [sample() | {"pf.bg.full": 0.5}], schema=schema_with("pf.bg.full"))
    write_part(run, "b", [sample() | {"cp@seg": 0.7}], schema=schema_with("cp@seg"))
    scores = open_scores([run], ["cp@seg", "cp", "pf.bg.full"])
    assert scores.schema.names == [*ALWAYS, "cp@seg", "cp", "pf.bg.full"]
    assert rows_of(scores, "key", "cp@seg", "pf.bg.full") == [
        {"key": "a/0", "cp@seg": None, "pf.bg.full": 0.5},
        {"key": "b/0", "cp@seg": 0.7, "pf.bg.full": None},
    ]
    assert [scores.n_parts_with(name) for name in ("cp", "cp@seg", "nowhere")] == [2, 1, 0]


def test_only_four_columns_are_needed_and_what_no_part_has_is_null_of_its_type(run: str) -> None:
    write_part(run, "lean", [{"model": "m", "concept": "c", "status": "ok"}], schema=LEAN)
    scores = open_scores([run], ["cp", "subject_found", "references", "offset?"])
    [row] = rows_of(scores, *scores.schema.names)
    assert row.pop("key") == "lean/0"
    assert row == {
        "model": "m", "concept": "c", "status": "ok",
        "cp": None, "subject_found": None, "references": None, "offset?": None,
    }  # fmt: skip
    assert scores.schema.field("subject_found").type == pa.bool_()
    assert scores.schema.field("references").type == pa.list_(pa.string())


def test_without_a_choice_every_column_is_read(run: str) -> None:
    write_part(run, "a", [sample() | {"clip_i": 0.5}], schema=schema_with("clip_i"))
    write_part(run, "b", [sample()])
    scores = open_scores([run])
    assert scores.schema.names == [*SCORES_SCHEMA.names, "clip_i"]
    assert [row["clip_i"] for row in rows_of(scores, "clip_i")] == [0.5, None]


def test_a_column_may_have_any_name(run: str) -> None:
    name = 'x"; DROP TABLE y; --'
    write_part(run, "a", [sample() | {name: 0.25}], schema=schema_with(name))
    assert rows_of(open_scores([run], [name]), name) == [{name: 0.25}]


def test_figures_of_a_sample_are_score_columns_whichever_part_has_them(run: str) -> None:
    lists = pa.field("clip_i_per_reference", pa.list_(pa.float64()))
    write_part(run, "a", [sample()], schema=schema_with("clip_i").append(lists))
    write_part(run, "b", [sample()], schema=schema_with("cp.leak"))
    write_part(run, "c", [{"model": "m", "concept": "c", "status": "ok"}], schema=LEAN)
    assert open_scores([run]).score_columns == ["cp", "pf", "clip_i", "cp.leak"]


def test_a_part_that_lacks_one_of_the_four_is_no_part(run: str) -> None:
    lacking = pa.schema([field for field in LEAN if field.name != "key"])
    write_part(run, "a", [], schema=lacking)
    with pytest.raises(CallError, match=r"scores/a\.parquet: not a part of .* no column 'key'"):
        open_scores([run], [])


def test_types_that_differ_are_brought_together(run: str) -> None:
    other = SCORES_SCHEMA.set(
        SCORES_SCHEMA.get_field_index("model"),
        pa.field("model", pa.dictionary(pa.int8(), pa.string())),
    ).append(pa.field("votes", pa.int64()))
    write_part(run, "a", [sample("x") | {"votes": 3}], schema=other)
    write_part(run, "b", [sample("y") | {"votes": 0.5}], schema=schema_with("votes"))
    assert rows_of(open_scores([run], ["votes"]), "model", "votes") == [
        {"model": "x", "votes": 3.0},
        {"model": "y", "votes": 0.5},
    ]


def test_a_column_of_a_type_that_no_run_has_is_read_as_it_is(run: str) -> None:
    when = datetime(2026, 1, 2, 3, 4, 5)
    schema = SCORES_SCHEMA.append(pa.field("when", pa.timestamp("us"))).append(
        pa.field("nothing", pa.null())
    )
    write_part(run, "a", [sample() | {"when": when}], schema=schema)
    write_part(run, "b", [sample()])
    read = rows_of(open_scores([run], ["when", "nothing"]), "when", "nothing")
    assert read == [{"when": when, "nothing": None}, {"when": None, "nothing": None}]


def test_types_that_do_not_go_together_are_one_line(run: str) -> None:
    write_part(run, "a", [sample()], schema=SCORES_SCHEMA.append(pa.field("x", pa.bool_())))
    write_part(run, "b", [sample()], schema=SCORES_SCHEMA.append(pa.field("x", pa.string())))
    with pytest.raises(CallError, match=r"a\.parquet and others do not go together"):
        open_scores([run])


@pytest.mark.parametrize("name", ["it's [1]", "a*b?", "model=other", 'quo"te', "back\\slash", "ü"])
def test_a_run_may_have_any_name(name: str, tmp_path: Path) -> None:
    # DuckDB takes brackets for a pattern, and NAME=VALUE for a column.
    write_part(str(tmp_path / name), "part", [sample("m")])
    (tmp_path / "a-b").mkdir()
    assert rows_of(open_scores([str(tmp_path / name)], []), "model") == [{"model": "m"}]


def test_parts_without_rows_add_nothing(run: str) -> None:
    write_part(run, "empty", [])
    assert rows_of(open_scores([run], ["cp"])) == []
    write_part(run, "full", [sample()])
    scores = open_scores([run], ["cp"])
    assert (scores.n_rows, len(rows_of(scores))) == (1, 1)


def test_several_runs_are_read_as_one(tmp_path: Path) -> None:
    local, memory = str(tmp_path / "a"), next(runs)
    write_part(local, "part", [sample("a")])
    write_part(memory, "part", [sample("b") | {"clip_i": 0.1}], schema=schema_with("clip_i"))
    scores = open_scores([local, memory], ["clip_i"])
    assert rows_of(scores, "model", "clip_i") == [
        {"model": "a", "clip_i": None},
        {"model": "b", "clip_i": 0.1},
    ]
    assert list(map(str, scores.parts)) == [f"{r}/scores/part.parquet" for r in (local, memory)]


def test_a_run_given_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_part(str(tmp_path / "run"), "part", [sample()])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for again in ("run", "run/", f"{tmp_path}/run", "link", f"file://{tmp_path}/link/"):
        with pytest.raises(CallError, match="given twice"):
            open_scores([str(tmp_path / "run"), again])


def test_parts_can_be_left_out(run: str) -> None:
    write_part(run, "a", [sample("a")])
    write_part(run, "b", [sample("b") | {"clip_i": 0.1}], schema=schema_with("clip_i"))
    scores = open_scores([run])
    rest = scores.without(part for part in scores.parts if part.shard_id == "b")
    assert [row["model"] for row in rest.table().to_pylist()] == ["a"]
    assert "clip_i" not in rest.schema.names


# A part that changes under the reader


class Rewriting:
    """A question that reads twice, as the reducer does, while a writer comes between."""

    def __init__(self, run: str, times: int) -> None:
        self.run, self.times, self.asked = run, times, 0

    def __call__(self, source: str) -> tuple[list[Any], list[Any]]:
        self.asked += 1
        query = f"SELECT model, cp FROM ({source}) ORDER BY ALL"
        with duckdb.connect() as connection:
            first = connection.sql(query).fetchall()
            if self.asked <= self.times:
                write_part(self.run, "b", [sample("new", cp=self.asked)] * (1 + self.asked))
            return first, connection.sql(query).fetchall()


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_question_sees_one_version_of_a_part_that_is_rewritten_meanwhile(
    run: str, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    write_part(run, "a", [sample("stays", cp=0.5)])
    write_part(run, "b", [sample("old", cp=0.1)])
    ask = Rewriting(run, times)
    first, second = open_scores([run], ["cp"]).query(ask)
    assert first == second
    if "://" in run:  # brought near before it was asked
        assert (first, ask.asked) == ([("old", 0.1), ("stays", 0.5)], 1)
    else:
        rows = [("new", 1.0)] * 2 if times else [("old", 0.1)]
        assert (first, ask.asked) == ([*rows, ("stays", 0.5)], 1 + bool(times))
    assert ("parts have changed while they were read; they are read again" in caplog.messages) == (
        ask.asked > 1
    )


def test_an_error_while_a_part_is_rewritten_is_asked_again_and_another_is_not(
    tmp_path: Path,
) -> None:
    write_part(str(tmp_path), "a", [sample()])
    asked = []

    def ask(source: str) -> str:
        asked.append(source)
        if len(asked) == 1:
            write_part(str(tmp_path), "a", [sample(), sample()])
        if len(asked) < 3:
            raise ValueError(f"question {len(asked)}")
        return "answer"

    with pytest.raises(ValueError, match="question 2"):
        open_scores([str(tmp_path)]).query(ask)


class Interrupted:
    """Reading of a part, after which it is rewritten so many times."""

    def __init__(self, run: str, times: int) -> None:
        self.run, self.times, self.read = run, times, 0

    def __call__(self, part: Part, schema: pa.Schema) -> pa.Table:
        table = columns_of_part(part, schema)
        self.read += 1
        if self.read <= self.times:
            write_part(self.run, "a", [sample(cp=0.1 * self.read)] * (1 + self.read))
        return table


def test_a_part_that_is_rewritten_while_it_is_read_is_opened_anew(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_part(run, "a", [sample(cp=0.9)])
    scores = open_scores([run], ["cp"])
    monkeypatch.setattr(scores_module, "_columns", Interrupted(run, times=1))
    assert scores.table()["cp"].to_pylist() == [0.1, 0.1]


def test_a_part_that_is_rewritten_again_and_again_is_an_error_that_names_it(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_part(run, "a", [sample()])
    scores = open_scores([run], ["cp"])
    monkeypatch.setattr(scores_module, "_columns", Interrupted(run, times=9))
    with pytest.raises(StorageError, match=r"scores/a\.parquet: changed twice while it was read"):
        scores.table()


def test_a_part_that_is_gone_is_an_error_that_names_it(run: str) -> None:
    write_part(run, "a", [sample()])
    scores = open_scores([run], ["cp"])
    [part] = scores.parts
    part.fs.rm_file(part.path)
    with pytest.raises(CallError, match=r"scores/a\.parquet: not readable"):
        scores.table()
    with pytest.raises(CallError, match=r"scores/a\.parquet: not readable"):
        scores.query(lambda source: duckdb.sql(source).fetchall())


# What footers say


def footers(*fingerprints: Any, **more: Any) -> list[str]:
    return [json.dumps({"fingerprint": fingerprint, **more}) for fingerprint in fingerprints]


MASC = {"encoder.weights": "w", "metric.stripper": "regex"}


@pytest.mark.parametrize(
    ("written", "warnings"),
    [
        (footers({"masc": MASC}, {"masc": MASC, "clip_i": {"weights": "v"}}), []),
        (footers(MASC, {"masc": MASC}), []),
        (
            footers(MASC, {"masc": {**MASC, "encoder.weights": "x"}}),
            ["2 different fingerprints of masc (encoder.weights); their scores may not compare"],
        ),
        (
            footers({"clip_i": {"weights": "v"}}, {"masc": MASC, "clip_i": {"dtype": "float16"}}),
            ["2 different fingerprints of clip_i (weights, dtype); their scores may not compare"],
        ),
        (footers(MASC) + footers({"masc": MASC}, format=2), []),
        (
            footers({"masc": MASC}, format=3),
            ["parts of a format that is not known here: 3; a newer version"],
        ),
        (
            footers({"masc": MASC}, references={"dog": {"given": "1"}, "cat": None})
            + footers({"masc": MASC}, references={"dog": {"given": "2", "sam3": "3"}}),
            ["1 concepts were scored against different references (the first: dog); their scores"],
        ),
        (footers({}), ["1 of 1 parts have no fingerprint; whether their scores compare"]),
    ],
    ids=["half-way", "before groups", "masc", "a comparator", "old", "new", "references", "empty"],
)
def test_what_may_not_compare_is_said_group_by_group(
    written: list[str], warnings: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    run = next(runs)
    for number, footer in enumerate(written):
        write_part(run, f"part-{number}", [sample()], footer)
    with caplog.at_level(logging.WARNING):
        open_scores([run], [])
    assert len(caplog.messages) == len(warnings)
    for message, warning in zip(caplog.messages, warnings, strict=True):
        assert message.startswith(f"run={run}: ") and warning in message
