"""Score columns beside CP and PF, runs that are half way, subjects, and runs reduced as one."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.pipeline.errors import CallError
from jobs.pipeline.results import quantiles
from jobs.pipeline.results.summary import Summary, summarise_run, summarise_runs
from jobs.pipeline.run.rows import SCORES_SCHEMA
from jobs.pipeline.run.scores import open_scores
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.versions import Version
from tests.pipeline.results.test_summary import NAN, sample, schema_with, unscored, write_part

FURTHER = schema_with("cp@dilate:5", "cp.leak")
GENERATOR = [
    sample(model, concept, cp=(place % 7) / 7, pf=(place % 5) / 5, status="ok")
    | {"cp@dilate:5": (place % 11) / 11, "cp.leak": NAN if place % 3 == 0 else place / 400}
    for place, (model, concept) in enumerate(
        (model, f"c{number}")
        for model in ("a", "b", None)
        for number in range(9)
        for _ in range(number + 1)
    )
]


def summary_of(run: str) -> Summary:
    """The summary of a run of these rows in two parts."""
    write_part(run, "one", GENERATOR[::2], schema=FURTHER)
    write_part(run, "two", GENERATOR[1::2], schema=FURTHER)
    return summarise_run(run)


def test_every_score_column_has_the_figures_that_cp_and_pf_have() -> None:
    # The same numbers under another name give the same figures.
    rows = [row | {"cp@dilate:5": row["cp"]} for row in GENERATOR]
    write_part("memory://every", "part", rows, schema=FURTHER)
    summary = summarise_run("memory://every")
    for table in (summary.model, summary.concept, summary.model_concept):
        for name in table.column_names:
            if name.startswith(("cp_", "n_cp")) and name != "cp_x_pf" and ".leak" not in name:
                twin = name.replace("cp", "cp@dilate:5", 1)
                if twin in table.column_names:
                    assert table[twin].equals(table[name]), name
    assert "cp@dilate:5_macro" in summary.model.column_names


def test_a_score_column_may_have_any_name() -> None:
    name = 'x"; DROP TABLE y; --'
    write_part("memory://named", "part", [sample() | {name: 0.25}], schema=schema_with(name))
    [model] = summarise_run("memory://named").model.to_pylist()
    assert model[f"{name}_mean"] == model[f"{name}_p50"] == 0.25


def test_a_column_of_lists_or_of_the_mask_is_no_score() -> None:
    schema = FURTHER.append(pa.field("cp.leak_per_reference", pa.list_(pa.float64())))
    row = sample() | {"cp.leak_per_reference": [0.1], "fg_fraction": 0.5}
    write_part("memory://no-score", "part", [row], schema=schema)
    names = summarise_run("memory://no-score").model.column_names
    assert not [name for name in names if "per_reference" in name or "fg_fraction" in name]


def test_null_is_not_computed_and_no_nan() -> None:
    rows = [sample() | {"cp.leak": value} for value in (0.25, 0.75, NAN, None)]
    write_part("memory://null", "part", [*rows, unscored("error")], schema=FURTHER)
    [model] = summarise_run("memory://null").model.to_pylist()
    assert (model["n"], model["n_ok"]) == (5, 4)
    assert (model["n_cp.leak"], model["n_cp.leak_nan"], model["cp.leak_mean"]) == (2, 1, 0.5)


def test_a_run_half_way_says_in_how_many_parts_a_column_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = "memory://half-way"
    write_part(run, "plain", [sample(), sample()])
    write_part(run, "more", [sample() | {"clip_i": 0.7}], schema=schema_with("clip_i"))
    summary = summarise_run(run)
    assert summary.counts.n == 3
    [model] = summary.model.to_pylist()
    assert (model["n_clip_i"], model["n_clip_i_nan"], model["clip_i_mean"]) == (1, 0, 0.7)
    assert summary.partial_columns == {"clip_i": 1}
    assert f"run={run}: clip_i in 1 of 2 parts" in caplog.messages
    assert summary.document()["partial_columns"] == {"clip_i": 1}


def test_a_run_without_masc_has_null_where_its_figures_were() -> None:
    schema = pa.schema([field for field in schema_with("clip_i") if field.name not in ("cp", "pf")])
    row = sample() | {"clip_i": 0.7}
    write_part("memory://comparator-only", "part", [row], schema=schema)
    [model] = summarise_run("memory://comparator-only").model.to_pylist()
    assert (model["n_cp"], model["n_cp_nan"], model["cp_mean"], model["cp_x_pf"]) == (
        0,
        0,
        None,
        None,
    )
    assert model["clip_i_mean"] == 0.7


@pytest.mark.parametrize("at_once", [0, 1, 40, 200])
def test_what_does_not_fit_in_memory_is_read_in_pieces_with_the_same_figures(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = summary_of("memory://whole")
    monkeypatch.setattr(quantiles, "VALUES_AT_ONCE", at_once)
    in_pieces = summary_of(f"memory://pieces-{at_once}")
    for name in ("model", "concept", "model_concept"):
        expected, found = getattr(whole, name), getattr(in_pieces, name)
        exact = [x for x in expected.column_names if re.search(r"_p\d\d$|^n_|^model|^concept", x)]
        assert found.select(exact).equals(expected.select(exact))
        assert len(exact) > 30


def subjects(*rows: dict[str, Any], **of_part: Any) -> tuple[int | None, int | None]:
    """The counts of the one model in a run of these rows."""
    run = f"memory://subjects-{id(rows)}"
    write_part(run, "part", rows, **of_part)
    [model] = summarise_run(run).model.to_pylist()
    return model["n_subject_missing"], model["n_subject_not_found"]


NAMED = {"subject": "dog", "subject_found": True}
NOT_FOUND = {"subject": "backpack_dog", "subject_found": False}
MISSING = {"subject": None, "subject_found": False}


def test_prompts_that_kept_their_subject_are_counted_among_rows_that_are_ok() -> None:
    blank = {"subject": "", "subject_found": False}
    rows = [sample() | each for each in (NAMED, NOT_FOUND, NOT_FOUND, MISSING, blank, NAMED)]
    failed = unscored("error") | MISSING
    assert subjects(*rows, failed) == (2, 2)


def test_subjects_are_not_counted_where_none_was_to_be_stripped() -> None:
    footer = json.dumps({"fingerprint": {"metric.stripper": "none"}})
    assert subjects(sample() | NOT_FOUND, footer=footer) == (None, None)
    groups = json.dumps({"fingerprint": {"masc": {"metric.stripper": "none"}}})
    assert subjects(sample() | NOT_FOUND, footer=groups) == (None, None)


def test_subjects_are_not_counted_where_the_rows_do_not_say() -> None:
    bare = pa.schema([f for f in SCORES_SCHEMA if not f.name.startswith("subject")])
    assert subjects(sample(), schema=bare) == (None, None)


def test_several_runs_reduce_as_one(tmp_path: Path) -> None:
    write_part(str(tmp_path / "a"), "part", [sample("a", "c", 0.2), sample("both", "c", 0.4)])
    write_part("memory://b", "part", [sample("b", "c", 0.6), sample("both", "d", 0.8)])
    runs, out = [str(tmp_path / "a"), "memory://b"], tmp_path / "out"
    summary = summarise_runs(runs, str(out))
    assert dict(
        zip(*summary.model.select(["model", "cp_mean"]).to_pydict().values(), strict=True)
    ) == {
        "a": pytest.approx(0.2),
        "b": pytest.approx(0.6),
        "both": pytest.approx(0.6),
    }
    assert summary.parts == 2
    assert pq.read_table(out / "model.parquet").equals(summary.model)
    assert not (tmp_path / "a" / "summary").exists()


def source_of(path: Path) -> dict[str, Any]:
    """What the footer of a part says of the shard at `path`, as it is now."""
    stat = path.stat()
    return {"url": str(path), "size": stat.st_size, "tag": str(stat.st_mtime_ns)}


def write_part_of(run: Path, shard: Path, rows: list[dict[str, Any]]) -> None:
    footer = {"fingerprint": {"weights": "w"}, "source": source_of(shard)}
    write_part(str(run), shard.stem, rows, json.dumps(footer))


@pytest.fixture
def repacked(tmp_path: Path) -> Path:
    """A run of three shards of which one has been removed since, and one has changed."""
    for place, name in enumerate(("stands", "gone", "changed")):
        shard = tmp_path / f"{name}.tar"
        shard.write_text(name)
        write_part_of(tmp_path / "run", shard, [sample(name, cp=place / 10)])
    (tmp_path / "gone.tar").unlink()
    (tmp_path / "changed.tar").write_text("of another size")
    return tmp_path / "run"


def test_parts_of_shards_that_are_gone_or_have_changed_do_not_count(
    repacked: Path, caplog: pytest.LogCaptureFixture
) -> None:
    summary = summarise_run(str(repacked))
    assert summary.model["model"].to_pylist() == ["stands"]
    assert summary.parts == 1
    stale = [f"{repacked}/scores/{name}.parquet" for name in ("changed", "gone")]
    assert summary.stale_parts == summary.document()["stale_parts"] == stale
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.getMessage() == (
        f"run={repacked}: 2 parts do not count, since their shards are gone or have changed: "
        f"{stale[0]} (changed), {stale[1]} (gone)"
    )
    assert len(list((repacked / "scores").iterdir())) == 3


def test_pruning_removes_the_parts_that_do_not_count(repacked: Path) -> None:
    summarise_run(str(repacked), prune_stale=True)
    assert [path.name for path in (repacked / "scores").iterdir()] == ["stands.parquet"]
    assert summarise_run(str(repacked)).stale_parts == []


def test_a_run_of_which_nothing_counts_is_a_wrong_call_and_loses_nothing(
    repacked: Path,
) -> None:
    (repacked.parent / "stands.tar").unlink()
    with pytest.raises(CallError, match="the shards of all its parts are gone or have changed"):
        summarise_run(str(repacked), prune_stale=True)
    assert len(list((repacked / "scores").iterdir())) == 3


def test_a_shard_that_the_caller_names_is_not_asked_for(repacked: Path) -> None:
    [source] = (part.footer["source"] for part in open_scores([str(repacked)]).parts[1:2])
    shard = Shard(source["url"], Version(source["size"], source["tag"]))
    summary = summarise_run(str(repacked), named={"gone": shard})
    assert summary.model["model"].to_pylist() == ["gone", "stands"]
    assert summary.named_parts == 1


@pytest.mark.parametrize("in_one_part", [True, False])
def test_columns_that_differ_only_in_case_are_refused(tmp_path: Path, in_one_part: bool) -> None:
    """DuckDB would give the figures of one under both names."""
    run = str(tmp_path / "run")
    names = (["CP", "x"], []) if in_one_part else (["Score"], ["score"])
    for number, further in enumerate(names):
        rows = [sample() | dict.fromkeys(further, 0.9)]
        write_part(run, f"part-{number}", rows, schema=schema_with(*further))
    with pytest.raises(CallError, match=r"the columns '(cp|Score)' and '(CP|score)' differ only"):
        summarise_run(run)
