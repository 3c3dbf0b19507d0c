"""`python -m jobs.compare`, as it is called."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest

from jobs.compare import compare_command
from jobs.pipeline.command.call import run_command
from jobs.pipeline.comparison import CompareConfig
from tests.commands import Run, command
from tests.pipeline.results.test_summary import schema_with, write_part

pytestmark = pytest.mark.slow

Row = dict[str, Any]
NAN = float("nan")
FOOTER = {"encoder.dtype": "float32", "metric.stripper": "regex"}


def rows_of(
    model: str = "m", seed: int = 0, concepts: int = 20, change: Callable[[Row], None] | None = None
) -> list[Row]:
    """Nine samples a concept, with noise of their own around what concept and prompt give."""
    rng, rows = np.random.default_rng(seed), []
    for g in range(concepts):
        for prompt in range(3):
            for number in range(3):
                row = {"model": model, "concept": f"c{g:02d}", "prompt_id": f"p{prompt}"}
                row |= {"seed": number, "prompt": f"a c{g} at p{prompt}", "status": "ok"}
                row |= {"cp": 0.6 + 0.01 * g, "pf": 0.2 + 0.05 * prompt, "fg_fraction": 0.3}
                row |= {"extra": json.dumps({"difficulty": ["easy", "hard"][prompt % 2]})}
                row["cp"] += rng.normal(0, 0.01)
                row["pf"] += rng.normal(0, 0.01)
                if change:
                    change(row)
                rows.append(row)
    return rows


def write_run(
    run: Path, rows: list[Row], fingerprint: Any = FOOTER, described: Any = None, *extra: str
) -> Path:
    footer = json.dumps({"fingerprint": fingerprint, "source": {}})
    write_part(str(run), "part", rows, footer, schema_with(*extra))
    if described is not None:
        (run / "run.json").write_text(json.dumps(described))
    return run


def compare(*words: str) -> Run:
    """The command's own function, here: a process of its own would take its imports each time."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run_command("compare", CompareConfig, compare_command, list(words))
    return Run([*words], status, out.getvalue(), err.getvalue())


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    return write_run(tmp_path / "night-1", rows_of("night-1"))


def with_change(path: Path, change: Callable[[Row], None] | None = None, **kwargs: Any) -> Path:
    return write_run(path, rows_of("night-2", seed=1, change=change, **kwargs))


def drop_cp(row: Row) -> None:
    row["cp"] -= 0.05


def test_a_drop_is_exit_4_and_the_same_again_exit_0(baseline: Path, tmp_path: Path) -> None:
    worse = with_change(tmp_path / "worse", drop_cp)
    done = command("compare", f"baseline={baseline}", f"candidate={worse}", "--json")
    assert done.returncode == 4, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == found["cp"]["verdict"] == "regressed"
    assert found["pf"]["verdict"] == "same"
    assert found["cp"]["delta"] == pytest.approx(-0.05, abs=0.005)
    assert found["cp"]["ci"][0] < found["cp"]["delta"] < found["cp"]["ci"][1] < -0.04
    assert found["cp_x_pf"]["verdict"] is None
    assert (found["n_pairs"], found["n_concepts"]) == (180, 20)
    assert found["n_unpaired"] == {"baseline": 0, "candidate": 0}
    assert [each["concept"] for each in found["concepts"]] == [f"c{g:02d}" for g in range(20)]
    assert all(each["cp"]["changed"] for each in found["concepts"])
    same = compare(f"baseline={baseline}", f"candidate={with_change(tmp_path / 'same')}", "--json")
    assert (same.returncode, json.loads(same.stdout)["verdict"]) == (0, "same")


def test_parts_that_its_leaderboard_leaves_out_do_not_count(
    baseline: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    again = with_change(tmp_path / "again")
    # Shards that were packed anew: the old part stands beside the new one.
    footer = json.dumps({"fingerprint": FOOTER, "source": {}})
    write_part(str(again), "old", rows_of("night-2", change=drop_cp), footer, schema_with())
    described = {"stale_parts": [f"elsewhere/{again.name}/scores/old.parquet"]}
    (again / "run.json").write_text(json.dumps(described))
    done = compare(f"baseline={baseline}", f"candidate={again}", "gate={cp: 0.01}", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_pairs"] == 180
    assert "1 parts do not count, as its leaderboard leaves them out" in caplog.text
    described = {"stale_parts": ["old.parquet", "part.parquet"]}
    (again / "run.json").write_text(json.dumps(described))
    none = compare(f"baseline={baseline}", f"candidate={again}")
    assert none.returncode == 1
    assert "none of its parts counts" in none.stderr


def test_a_rise_is_improved_and_what_cannot_be_decided_exit_5(
    baseline: Path, tmp_path: Path
) -> None:
    better = with_change(tmp_path / "better", lambda row: row.update(cp=row["cp"] + 0.05))
    done = compare(f"baseline={baseline}", f"candidate={better}", "--json")
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (0, "improved")
    few = with_change(tmp_path / "few", drop_cp, concepts=3)
    done = compare(f"baseline={baseline}", f"candidate={few}", "--json")
    assert done.returncode == 5
    found = json.loads(done.stdout)
    assert found["cp"]["verdict"] == "undecided"
    assert "3 concepts with pairs, 10 are needed" in found["cp"]["reason"]
    assert [each["kind"] for each in found["suspicions"]] == ["unpaired_baseline"]
    narrow = compare(f"baseline={baseline}", f"candidate={few}", "min_concepts=3", "--json")
    assert narrow.returncode == 4


def test_a_run_against_itself_is_the_same_to_the_last_bit(baseline: Path, tmp_path: Path) -> None:
    done = compare(f"baseline={baseline}", f"candidate={baseline}", "gate={cp: 0}", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["verdict"]) == (0, "same")
    assert found["cp"]["ci"] == [0, 0]
    assert found["suspicions"] == []


def test_the_three_forms_are_written(baseline: Path, tmp_path: Path) -> None:
    worse, out = with_change(tmp_path / "worse", drop_cp), tmp_path / "out"
    done = compare(f"baseline={baseline}", f"candidate={worse}", f"out={out}", "gate.pf=0.0001")
    assert done.returncode == 4
    assert done.stdout.startswith("regressed  night-2 against night-1")
    assert "├" in done.stdout and "●" in done.stdout
    assert json.loads((out / "compare.json").read_text())["verdict"] == "regressed"
    markdown = (out / "compare.md").read_text()
    assert markdown.startswith("# regressed: night-2 against night-1\n")
    assert "PF is undecided: with 20 concepts no drop under" in markdown
    assert "| CP |" in markdown and "**regressed**" in markdown
    suites = ElementTree.fromstring((out / "junit.xml").read_bytes())
    assert (suites.get("tests"), suites.get("failures"), suites.get("skipped")) == ("2", "1", "1")
    [failure] = suites.iter("failure")
    assert failure.get("type") == "regressed" and "CP regressed" in failure.get("message", "")
    [skipped] = suites.iter("skipped")
    assert "no drop under" in skipped.get("message", "")


def spoil(row: Row) -> None:
    """Every kind of change at once, none of them in CP or PF."""
    number = row["seed"]
    row["fg_fraction"] *= 0.88
    row["cp.leak"] = 0.5
    if row["prompt_id"] == "p0":
        row["prompt"] += "!"
    if number == 2 and row["prompt_id"] == "p2":
        row |= {"status": "error", "cp": None, "pf": None}
    if number == 1 and row["prompt_id"] == "p2":
        row["pf"] = NAN


def test_what_else_changed_is_named_beside_the_verdict(tmp_path: Path) -> None:
    for name, change in (("old", None), ("new", spoil)):
        rows = rows_of("m", change=change)
        for row in rows:
            row.setdefault("cp.leak", 0.3)
        described = {
            "state": "done",
            "versions": {"torch": "2.8" if change else "2.7", "ray": "2.60"},
            "workers": [{"device": "cuda:0" if change else "cpu"}],
        }
        write_run(tmp_path / name, rows, FOOTER, described, "cp.leak")
    done = compare(f"baseline={tmp_path}/old", f"candidate={tmp_path}/new", "--json")
    found = {each["kind"]: each for each in json.loads(done.stdout)["suspicions"]}
    assert list(found) == [
        *("unpaired_baseline", "error_rate", "nan_rate:pf", "mask_coverage", "leak", "prompts"),
        *("versions", "device"),
    ]
    assert found["mask_coverage"]["text"] == "masks cover 12% less: is it the segmenter?"
    assert found["leak"]["candidate"] == 0.5
    assert found["versions"]["text"] == "torch is 2.8, was 2.7"
    assert found["device"]["text"] == "scored on cuda, was on cpu"
    words = ["limits.max_unpaired=1", "limits.max_error_rise=1", "limits.max_nan_rise=1"]
    words += ["limits.max_mask_change=1", "limits.max_leak_rise=1", "limits.max_changed_prompts=1"]
    done = compare(f"baseline={tmp_path}/old", f"candidate={tmp_path}/new", "--json", *words)
    kinds = [each["kind"] for each in json.loads(done.stdout)["suspicions"]]
    assert kinds == ["versions", "device"]


def test_runs_scored_in_different_ways_are_refused_where_it_matters(
    baseline: Path, tmp_path: Path
) -> None:
    other = {**FOOTER, "encoder.dtype": "bfloat16"}
    candidate = write_run(tmp_path / "other", rows_of(), other)
    done = compare(f"baseline={baseline}", f"candidate={candidate}")
    assert done.returncode == 1
    assert "encoder.dtype is 'float32', there 'bfloat16'" in done.stderr
    done = compare(
        f"baseline={baseline}", f"candidate={candidate}", "allow_different=true", "--json"
    )
    assert done.returncode == 0
    assert [each["kind"] for each in json.loads(done.stdout)["suspicions"]] == ["fingerprint"]


def test_a_group_that_is_not_compared_may_differ(tmp_path: Path) -> None:
    for name, dtype in (("old", "float32"), ("new", "float16")):
        rows = [{**row, "clip_i": 0.5} for row in rows_of()]
        groups = {"masc": FOOTER, "clip_i": {"dtype": dtype}}
        write_run(tmp_path / name, rows, groups, None, "clip_i")
    words = (f"baseline={tmp_path}/old", f"candidate={tmp_path}/new")
    assert compare(*words).returncode == 0
    done = compare(*words, "columns=[cp,clip_i]")
    assert done.returncode == 1
    assert "clip_i.dtype" in done.stderr


def test_a_further_column_is_gated_and_one_that_should_not_rise_is_judged_so(
    tmp_path: Path,
) -> None:
    for name, leak in (("old", 0.3), ("new", 0.4)):
        rows = [{**row, "cp.leak": leak} for row in rows_of()]
        write_run(tmp_path / name, rows, FOOTER, None, "cp.leak")
    words = (f"baseline={tmp_path}/old", f"candidate={tmp_path}/new", "gate={cp.leak: 0.02}")
    done = compare(*words, "--json")
    assert done.returncode == 4
    found = json.loads(done.stdout)
    assert found["cp.leak"]["verdict"] == "regressed"
    assert found["cp.leak"]["delta"] == pytest.approx(0.1)
    assert found["cp"]["verdict"] == found["pf"]["verdict"] == "same"
    assert compare(*words, "lower_is_better=[]").returncode == 0


def test_models_pair_by_name_and_those_of_one_run_are_listed(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", [*rows_of("a"), *rows_of("b"), *rows_of("gone")])
    new = write_run(tmp_path / "new", [*rows_of("a"), *rows_of("b", change=drop_cp), *rows_of("x")])
    done = compare(f"baseline={old}", f"candidate={new}", "--json")
    assert done.returncode == 4
    found = json.loads(done.stdout)
    verdicts = {each["candidate"]: each["verdict"] for each in found["comparisons"]}
    assert verdicts == {"new/a": "same", "new/b": "regressed"}
    assert found["unmatched_models"] == {"baseline": ["gone"], "candidate": ["x"]}
    # Of four gated columns together: the first at 1 - 0.05 / 4.
    levels = [each[x]["level"] for each in found["comparisons"] for x in ("cp", "pf")]
    assert sorted(levels) == pytest.approx([0.95, 0.975, 1 - 0.05 / 3, 1 - 0.05 / 4])
    named = compare(
        f"baseline={old}", f"candidate={new}", "baseline_model=gone", "candidate_model=x", "--json"
    )
    assert (named.returncode, json.loads(named.stdout)["verdict"]) == (0, "same")


def test_several_candidates_and_all_models_of_one_run(baseline: Path, tmp_path: Path) -> None:
    candidates = [with_change(tmp_path / "x"), with_change(tmp_path / "y", drop_cp)]
    listed = ",".join(map(str, candidates))
    done = compare(f"baseline={baseline}", f"candidate=[{listed}]", "--json")
    assert done.returncode == 4
    comparisons = json.loads(done.stdout)["comparisons"]
    assert [each["candidate"] for each in comparisons] == ["x/night-2", "y/night-2"]
    many = write_run(tmp_path / "many", [*rows_of("a"), *rows_of("b", 1), *rows_of("c", 2)])
    done = compare(f"baseline={many}", "--json")
    comparisons = json.loads(done.stdout)["comparisons"]
    pairs = [(each["baseline"], each["candidate"]) for each in comparisons]
    assert pairs == [("a", "b"), ("a", "c"), ("b", "c")]


def test_tags_are_looked_at_and_named(baseline: Path, tmp_path: Path) -> None:
    def drop_hard(row: Row) -> None:
        if row["prompt_id"] == "p1":
            row["cp"] -= 0.05

    worse = with_change(tmp_path / "worse", drop_hard)
    words = (f"baseline={baseline}", f"candidate={worse}", "by=[prompt_id,extra.difficulty]")
    found = json.loads(compare(*words, "--json").stdout)["by"]
    changed = {each["tag"]: each["cp"]["changed"] for each in found["prompt_id"]}
    assert changed == {"p0": False, "p1": True, "p2": False}
    [easy, hard] = found["extra.difficulty"]
    assert (easy["cp"]["n_pairs"], hard["cp"]["n_pairs"]) == (120, 60)
    assert hard["cp"]["delta"] == pytest.approx(-0.05, abs=0.01)


def test_rows_without_anything_but_the_needed_columns_compare(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("key", "model", "concept", "status")),
            ("cp", pa.float64()),
        ]
    )
    for name, shift in (("old", 0.0), ("new", -0.1)):
        rows = [
            {
                "model": "m",
                "concept": f"c{g}",
                "status": "ok",
                "cp": 0.5 + shift + 0.001 * g * shift,
            }
            for g in range(12)
        ]
        write_part(
            str(tmp_path / name),
            "part",
            rows,
            None,
            schema.insert(1, pa.field("shard", pa.string())),
        )
    done = compare(
        f"baseline={tmp_path}/old", f"candidate={tmp_path}/new", "columns=[cp]", "gate.pf=null"
    )
    assert done.returncode == 4, done.stderr
    assert "no fingerprint" in caplog.text


def test_one_model_of_a_run_is_not_compared_with_itself_unless_both_are_named(
    tmp_path: Path,
) -> None:
    run = write_run(tmp_path / "run", [*rows_of("a"), *rows_of("b", seed=1)])
    for side in ("baseline", "candidate"):
        done = compare(f"baseline={run}", f"candidate={run}/", f"{side}_model=b")
        assert done.returncode == 1
        assert "b would be compared with itself; leave candidate= out" in done.stderr
    both = ("baseline_model=b", "candidate_model=b")
    assert compare(f"baseline={run}", f"candidate={run}", *both).returncode == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("candidate=x",), "baseline= is required"),
        (("columns=[clip_i]",), "no score column 'clip_i'; known: cp, pf"),
        (("candidate_model=who",), "candidate_model=who: "),
        (("confidence=2",), "expected 0.5 to 0.9999"),
        (("gate.cp=-1",), "gate.cp=-1.0"),
        (("pair_by=key",), "pair_by=key: expected auto, seed, prompt, concept"),
        (("by=[model]",), "extra.NAME"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_1(
    baseline: Path, words: tuple[str, ...], complaint: str
) -> None:
    runs = () if "candidate=x" in words else (f"baseline={baseline}", f"candidate={baseline}")
    done = compare(*runs, *words)
    assert done.returncode == 1
    assert complaint in done.stderr.splitlines()[-1]
