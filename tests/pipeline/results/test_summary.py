"""The reduction of a run's rows, against the same figures from the standard library and numpy."""

from __future__ import annotations

import io
import itertools
import json
import logging
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.results.intervals import mean_interval
from jobs.pipeline.results.summary import SampleCounts, Summary, summarise_run
from jobs.pipeline.run.rows import SCORES_SCHEMA

Row = dict[str, Any]
NAN = float("nan")
COUNTS = ["n", "n_ok", "n_skipped", "n_error"]
NUMBERS = [*COUNTS, "n_cp_nan", "n_pf_nan"]
STATISTICS = ["mean", "std", "min", "max", "p05", "p25", "p50", "p75", "p95"]
STATISTICS += ["ci_low", "ci_high"]
SUBJECTS = ["n_subject_missing", "n_subject_not_found"]

run_numbers = itertools.count()


def sample(
    model: str | None = "m",
    concept: str | None = "c",
    cp: float | None = 0.5,
    pf: float | None = 0.2,
    status: str = "ok",
) -> Row:
    return {"model": model, "concept": concept, "cp": cp, "pf": pf, "status": status}


def unscored(status: str, model: str | None = "m", concept: str | None = "c") -> Row:
    return sample(model, concept, None, None, status)


def schema_with(*scores: str) -> pa.Schema:
    """The schema of a run with these score columns beside CP and PF."""
    return pa.schema([*SCORES_SCHEMA, *(pa.field(name, pa.float64()) for name in scores)])


def write_part(
    run: str,
    name: str,
    rows: Sequence[Row],
    footer: str | None = '{"fingerprint": {"weights": "w"}}',
    schema: pa.Schema = SCORES_SCHEMA,
) -> None:
    """Write `rows` as the part `name` of the run at the URL or path `run`."""
    full = [{"key": f"{name}/{i}", "shard": name, **row} for i, row in enumerate(rows)]
    metadata = None if footer is None else {b"masc": footer.encode()}
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(full, schema).replace_schema_metadata(metadata), buffer)
    fs, path = fsspec.core.url_to_fs(f"{run}/scores/{name}.parquet")
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    fs.pipe_file(path, buffer.getvalue())


def summary_of(*parts: Sequence[Row]) -> Summary:
    """The summary of a run with these parts."""
    run = f"memory://summary-{next(run_numbers)}"
    for number, rows in enumerate(parts):
        write_part(run, f"part-{number}", rows)
    return summarise_run(run)


def figures_of(rows: Iterable[Row]) -> dict[str, Any]:
    """What a group's figures should be, without the intervals."""
    group = list(rows)
    statuses = [row["status"] for row in group]
    figures: dict[str, Any] = {"n": len(group)}
    figures |= {f"n_{status}": statuses.count(status) for status in ("ok", "skipped", "error")}
    for score in ("cp", "pf"):
        scored = [row[score] for row in group if row["status"] == "ok"]
        values = [value for value in scored if value is not None and not math.isnan(value)]
        figures[f"n_{score}"] = len(values)
        figures[f"n_{score}_nan"] = len(scored) - len(values)
        some = bool(values)
        figures[f"{score}_mean"] = math.fsum(values) / len(values) if some else None
        figures[f"{score}_std"] = statistics.stdev(values) if len(values) > 1 else None
        figures[f"{score}_min"] = min(values, default=None)
        figures[f"{score}_max"] = max(values, default=None)
        for percent in (5, 25, 50, 75, 95):
            quantile = np.quantile(values, percent / 100) if some else None
            figures[f"{score}_p{percent:02}"] = quantile
    means = figures["cp_mean"], figures["pf_mean"]
    figures["cp_x_pf"] = None if None in means else means[0] * means[1]
    return figures


def assert_figures(row: Row, expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        wanted = None if value is None else pytest.approx(value, rel=1e-9, abs=1e-12)
        assert row[name] == wanted, name


def test_the_tables_have_the_columns_of_the_contract_in_their_order() -> None:
    rows = [sample() | {"cp.leak": 0.1}]
    run = "memory://columns"
    write_part(run, "part", rows, schema=schema_with("cp.leak"))
    summary = summarise_run(run)
    scores = ("cp", "pf", "cp.leak")
    numbers = [*COUNTS, *(f"n_{score}{nan}" for score in scores for nan in ("", "_nan"))]
    figures = list(COUNTS)
    for score in scores:
        figures += [f"n_{score}", f"n_{score}_nan", *(f"{score}_{name}" for name in STATISTICS)]
    figures.append("cp_x_pf")
    macros = [f"{score}_macro" for score in scores]
    assert summary.model.column_names == ["model", *figures, *macros, *SUBJECTS]
    assert summary.concept.column_names == ["concept", *figures]
    assert summary.model_concept.column_names == ["model", "concept", *figures]
    for table in (summary.model, summary.concept, summary.model_concept):
        types = dict(zip(table.column_names, table.schema.types, strict=True))
        assert {types[name] for name in numbers} == {pa.int64()}
        assert {types[name] for name in figures if name not in numbers} == {pa.float64()}


def test_the_statistics_are_those_of_the_numbers_worked_out_by_hand() -> None:
    [model] = summary_of([sample(cp=cp) for cp in (0.0, 0.4, 0.1, 0.3)]).model.to_pylist()
    expected = {"mean": 0.2, "min": 0.0, "max": 0.4, "p25": 0.075, "p50": 0.2, "p75": 0.325}
    expected["std"] = math.sqrt((0.04 + 0.04 + 0.01 + 0.01) / 3)
    assert_figures(model, {f"cp_{name}": value for name, value in expected.items()})
    assert model["cp_x_pf"] == pytest.approx(0.2 * 0.2)


names = st.sampled_from(["a", "b", "ü|<b>", None])
scores = st.one_of(st.floats(-1, 1), st.just(NAN))
samples = st.one_of(
    st.builds(sample, names, names, scores, scores),
    st.builds(unscored, st.sampled_from(["skipped", "error"]), names, names),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(samples, max_size=12), min_size=1, max_size=4))
def test_every_row_counts_once_in_each_table_with_the_figures_of_its_group(
    parts: list[list[Row]],
) -> None:
    rows = [row for part in parts for row in part]
    summary = summary_of(*parts)
    assert summary.parts == len(parts)
    statuses = [row["status"] for row in rows]
    assert summary.counts == SampleCounts(
        len(rows), statuses.count("ok"), statuses.count("skipped"), statuses.count("error")
    )
    for table, keys in (
        (summary.model, ["model"]),
        (summary.concept, ["concept"]),
        (summary.model_concept, ["model", "concept"]),
    ):
        groups: dict[tuple[str | None, ...], list[Row]] = {}
        for row in rows:
            groups.setdefault(tuple(row[key] for key in keys), []).append(row)
        in_order = sorted(groups, key=lambda group: [(name is None, name or "") for name in group])
        reduced = table.to_pylist()
        assert [tuple(row[key] for key in keys) for row in reduced] == in_order
        for group, row in zip(in_order, reduced, strict=True):
            assert_figures(row, figures_of(groups[group]))


@settings(max_examples=15, deadline=None)
@given(st.lists(samples, max_size=30), st.randoms(use_true_random=False), st.integers(1, 5))
def test_the_order_of_rows_and_their_split_over_parts_change_nothing(
    rows: list[Row], chance: Any, parts: int
) -> None:
    shuffled = chance.sample(rows, len(rows))
    one, many = summary_of(rows), summary_of(*(shuffled[i::parts] for i in range(parts)))
    for name in ("model", "concept", "model_concept"):
        expected, table = getattr(one, name).to_pylist(), getattr(many, name).to_pylist()
        assert len(table) == len(expected)
        for row, expected_row in zip(table, expected, strict=True):
            keys = {"model", "concept"} & row.keys()
            assert [row.pop(key) for key in keys] == [expected_row.pop(key) for key in keys]
            assert_figures(row, expected_row)


def test_rows_that_are_not_ok_are_counted_and_enter_no_statistic() -> None:
    # A score beside such a status would be a mistake elsewhere; it must not leak in here.
    rows = [sample(cp=0.6), sample(cp=0.9, status="skipped"), sample(cp=NAN, status="error")]
    [model] = summary_of(rows).model.to_pylist()
    assert [model[name] for name in NUMBERS] == [3, 1, 1, 1, 0, 0]
    assert (model["cp_mean"], model["cp_max"]) == (0.6, 0.6)


@pytest.mark.parametrize(
    ("undefined", "n_nan"), [(NAN, 1), (math.inf, 1), (None, 0)], ids=["NaN", "infinite", "null"]
)
def test_an_undefined_score_is_counted_apart_and_spares_the_other_score(
    undefined: float | None, n_nan: int
) -> None:
    """A null was not computed, or not yet: that is no NaN."""
    [model] = summary_of([sample(cp=undefined, pf=0.1), sample(cp=0.4, pf=0.3)]).model.to_pylist()
    assert [model[name] for name in NUMBERS] == [2, 2, 0, 0, n_nan, 0]
    assert (model["n_cp"], model["n_pf"]) == (1, 2)
    assert (model["cp_mean"], model["pf_mean"]) == pytest.approx((0.4, 0.2))


def test_a_group_without_a_score_has_null_figures() -> None:
    [model] = summary_of([sample(cp=NAN), unscored("error")]).model.to_pylist()
    assert all(model[f"cp_{name}"] is None for name in [*STATISTICS, "macro"])
    assert model["cp_x_pf"] is None


def test_rows_whose_json_was_broken_are_a_group_with_a_null_key() -> None:
    rows = [sample("m", "c"), unscored("error", None, "c"), unscored("error", "m", None)]
    rows.append(unscored("error", None, None))
    summary = summary_of(rows)
    assert summary.model.select(["model", "n"]).to_pylist() == [
        {"model": "m", "n": 2},
        {"model": None, "n": 2},
    ]
    assert summary.concept.select(["concept", "n"]).to_pylist() == [
        {"concept": "c", "n": 2},
        {"concept": None, "n": 2},
    ]
    assert summary.model_concept["n"].to_pylist() == [1, 1, 1, 1]


def test_the_macro_mean_weighs_concepts_alike_and_leaves_out_those_without_a_score() -> None:
    rows = [sample(concept="often", cp=0.2)] * 3 + [sample(concept="once", cp=0.8)]
    rows.append(sample(concept="undefined", cp=NAN))
    [model] = summary_of(rows).model.to_pylist()
    assert model["cp_mean"] == pytest.approx((3 * 0.2 + 0.8) / 4)
    assert model["cp_macro"] == pytest.approx((0.2 + 0.8) / 2)


def three_concepts(model: str) -> list[Row]:
    """Concepts of 2, 3 and 1 scored samples, and one without a score."""
    cps = {"a": [0.1, 0.2], "b": [0.6, 0.7, 0.8], "c": [0.4, NAN], "d": [NAN]}
    return [sample(model, concept, cp) for concept, values in cps.items() for cp in values]


def interval_of(summary: Summary, model: str) -> tuple[float, float]:
    [row] = [row for row in summary.model.to_pylist() if row["model"] == model]
    return row["cp_ci_low"], row["cp_ci_high"]


def test_the_interval_of_a_model_resamples_its_concepts_with_a_score() -> None:
    expected = mean_interval(np.array([0.3, 2.1, 0.4]), np.array([2, 3, 1]))
    interval = interval_of(summary_of(three_concepts("m")), "m")
    assert interval == pytest.approx((expected.low, expected.high))


def test_the_interval_of_a_model_does_not_depend_on_the_other_models() -> None:
    alone = interval_of(summary_of(three_concepts("m")), "m")
    others = [sample("a", "z", 0.9), *three_concepts("z"), sample(None, "c", 0.1)]
    assert interval_of(summary_of(others + three_concepts("m")), "m") == pytest.approx(alone)


def test_a_single_concept_has_no_interval() -> None:
    summary = summary_of([*three_concepts("many"), sample("one", "a", 0.1), sample("one", "a")])
    ends = [f"{score}_ci_{end}" for score in ("cp", "pf") for end in ("low", "high")]
    many, one = summary.model.select(ends).to_pylist()
    assert all(isinstance(end, float) for end in many.values())
    assert set(one.values()) == {None}
    for table in (summary.concept, summary.model_concept):
        assert all(table[end].null_count == table.num_rows for end in ends)


@pytest.mark.parametrize("storage", ["local", "memory"])
def test_the_summary_is_written_beside_the_scores(storage: str, tmp_path: Path) -> None:
    run = str(tmp_path / "run") if storage == "local" else "memory://written/run"
    write_part(run, "part", [*three_concepts("m|1"), unscored("error", None, None)])
    summary = summarise_run(run)
    fs, path = fsspec.core.url_to_fs(f"{run}/summary")
    assert sorted(name.rpartition("/")[2] for name in fs.ls(path, detail=False)) == [
        "concept.parquet",
        "leaderboard.md",
        "model.parquet",
        "model_concept.parquet",
        "summary.json",
    ]
    for name in ("model", "concept", "model_concept"):
        written = pq.read_table(io.BytesIO(fs.cat_file(f"{path}/{name}.parquet")))
        assert written.equals(getattr(summary, name))
    assert r"| m\|1 |" in fs.cat_file(f"{path}/leaderboard.md").decode()


def reject_constant(name: str) -> None:
    pytest.fail(f"{name} is not JSON")


def test_summary_json_holds_counts_models_and_how_the_intervals_were_drawn() -> None:
    write_part("memory://document", "one", [sample("m", "a", NAN), unscored("error")])
    write_part("memory://document", "two", [unscored("skipped", None, None)])
    summary = summarise_run("memory://document")
    text = fsspec.filesystem("memory").cat_file("/document/summary/summary.json")
    document = json.loads(text, parse_constant=reject_constant)
    assert document == summary.document() == json.loads(summary.to_json())
    assert document["counts"] == {"n": 3, "n_ok": 1, "n_skipped": 1, "n_error": 1}
    assert document["parts"] == 2
    assert document["bootstrap"] == {"level": 0.95, "seed": 0, "resamples": 2000}
    assert [(row["model"], row["n"], row["cp_mean"]) for row in document["models"]] == [
        ("m", 2, None),
        (None, 1, None),
    ]


def test_a_second_reduction_replaces_the_first() -> None:
    run = "memory://twice"
    write_part(run, "one", [sample("m")])
    assert summarise_run(run).counts.n == 1
    write_part(run, "two", [sample("n")] * 2)
    assert summarise_run(run).counts.n == 3
    written = fsspec.filesystem("memory").cat_file("/twice/summary/summary.json")
    assert json.loads(written)["counts"]["n"] == 3


def test_parts_without_rows_add_nothing() -> None:
    summary = summary_of([], [])
    assert summary.counts == SampleCounts(0, 0, 0, 0)
    assert summary.model.num_rows == summary.model_concept.num_rows == 0
    assert summary_of([], [sample()]).counts.n == 1


def test_a_part_still_being_written_is_not_read(tmp_path: Path) -> None:
    write_part(str(tmp_path), "part", [sample()])
    (tmp_path / "scores" / ".other.parquet.0a1b2c3d.tmp").write_bytes(b"PAR1 half of")
    assert summarise_run(str(tmp_path)).counts.n == 1


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_names_stored_as_other_text_types_reduce_alike(kind: pa.DataType) -> None:
    run = f"memory://text-{kind.id}"
    write_part(run, "plain", [sample("m", "a"), sample(None, "a")])
    schema = SCORES_SCHEMA
    for name in ("model", "concept", "status"):
        schema = schema.set(schema.get_field_index(name), pa.field(name, kind))
    write_part(run, "other", [sample("m", "a"), sample(None, "b")], schema=schema)
    assert summarise_run(run).model.select(["model", "n"]).to_pylist() == [
        {"model": "m", "n": 2},
        {"model": None, "n": 2},
    ]


@pytest.mark.parametrize("run", ["memory://no-such-run", "/no/such/run"])
def test_a_run_without_parts_is_a_wrong_call(run: str) -> None:
    with pytest.raises(CallError, match=f"run={run}: nothing scored there"):
        summarise_run(run)


def test_a_file_that_is_not_a_part_is_named(tmp_path: Path) -> None:
    write_part(str(tmp_path), "good", [sample()])
    broken = tmp_path / "scores" / "broken.parquet"
    broken.write_bytes(b"not Parquet at all")
    with pytest.raises(CallError, match=r"scores/broken\.parquet: not readable as Parquet"):
        summarise_run(str(tmp_path))
    pq.write_table(pa.table({"model": ["m"], "cp": [0.1], "pf": [0.1], "status": ["ok"]}), broken)
    with pytest.raises(CallError, match=r"scores/broken\.parquet: .* no column 'concept'"):
        summarise_run(str(tmp_path))


def test_a_summary_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    write_part(str(tmp_path), "part", [sample()])
    (tmp_path / "summary").write_text("a file where the directory should be")
    with pytest.raises(StorageError, match=r"^run=.*: its summary/ cannot be written: FileExists"):
        summarise_run(str(tmp_path))


@pytest.mark.parametrize(
    ("footers", "warning"),
    [
        (['{"fingerprint": {"a": 1, "b": 2}}', '{"fingerprint": {"b": 2, "a": 1}}'], None),
        (['{"fingerprint": {"a": 1}}', '{"fingerprint": {"a": 2}}'], "2 different fingerprints"),
        (['{"fingerprint": {"a": 1}}', None], "1 of 2 parts have no fingerprint"),
        (['{"source": {}}', "not JSON", "[]"], "3 of 3 parts have no fingerprint"),
    ],
    ids=["alike", "different", "missing", "unreadable"],
)
def test_parts_scored_in_different_ways_are_one_line_of_warning(
    footers: list[str | None], warning: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    run = f"memory://footers-{next(run_numbers)}"
    for number, footer in enumerate(footers):
        write_part(run, f"part-{number}", [sample()], footer)
    with caplog.at_level(logging.WARNING):
        assert summarise_run(run).counts.n == len(footers)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == (warning is not None)
    assert warning is None or warning in messages[0]
