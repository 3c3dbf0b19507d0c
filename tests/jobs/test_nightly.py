"""`python -m jobs.nightly`, as it is called; scoring alone is replaced (`tests/nights.py`)."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.pipeline.errors import StorageError
from jobs.pipeline.nights.inbox import Checkpoint, Inbox
from jobs.pipeline.results.summary import summarise_run
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.lease import Holder
from tests import nights as making
from tests.nights import Nights, later, nights_at
from tests.pipeline.results.test_summary import write_part

pytestmark = pytest.mark.slow

DROP = 0.02
"""Four margins."""


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    with nights_at(str(tmp_path)) as found:
        yield found


def set_mark(nights: Nights, name: str, days: int) -> None:
    """As if the mark had been set so many days after the first."""
    when = later(days).timestamp()
    os.utime(f"{nights.root}/inbox/{name}/_SUCCESS", (when, when))


def test_each_is_held_against_the_last_that_passed_in_the_order_of_the_marks(
    nights: Nights,
) -> None:
    # Neither the order of their names nor that in which they were made.
    for name, days, drop in (
        ("step-4", 3, DROP),  # worse than the last that passed
        ("step-9", 0, 0.0),  # the first
        ("step-2", 1, -DROP),  # improved
        ("step-3", 2, -DROP),  # the same
        ("step-5", 4, -DROP),  # held against step-3, not against step-4, which did not pass
    ):
        nights.complete(name, drop=drop)
        set_mark(nights, name, days)
    done = nights.call("--json")
    assert done.returncode == 4, done.stderr
    assert nights.words() == [
        ("step-9", None, None),
        ("step-2", "improved", "step-9"),
        ("step-3", "same", "step-2"),
        ("step-4", "regressed", "step-3"),
        ("step-5", "same", "step-3"),
    ]
    assert [row["passed"] for row in nights.history()] == [True, True, True, False, True]
    assert [row["step"] for row in nights.history()] == [9, 2, 3, 4, 5]
    found = json.loads(done.stdout)
    assert [row["verdict"] for row in found["judged"]] == [
        *(None, "improved", "same", "regressed", "same")
    ]
    assert (found["n_waiting"], found["unfinished"]) == (0, None)
    assert found["trend"]["cp"]["nights"] == 5


def test_marks_of_one_time_go_by_their_numbers(nights: Nights) -> None:
    for name in ("step-1000", "step-900", "step-90"):
        nights.complete(name)
        set_mark(nights, name, 1)
    nights.call()
    assert [name for name, _, _ in nights.words()] == ["step-90", "step-900", "step-1000"]


def test_a_row_holds_what_the_run_and_the_comparison_say(nights: Nights) -> None:
    nights.complete("a-1")
    nights.complete("a-2", drop=DROP)
    nights.call()
    _, row = nights.history()
    [summary] = summarise_run(f"{nights.home}/runs/a-2").model.to_pylist()
    compared = json.loads(Path(f"{nights.home}/runs/a-2/compare/compare.json").read_text())
    for name in ("cp_mean", "cp_ci_low", "cp_ci_high", "pf_mean"):
        assert row[name] == summary[name]
    assert row["cp_delta"] == compared["cp"]["delta"] == pytest.approx(-DROP, abs=0.002)
    assert [row["cp_delta_low"], row["cp_delta_high"]] == compared["cp"]["ci"]
    assert (row["n"], row["n_ok"], row["n_error"]) == (72, 72, 0)
    assert (row["cost_seconds"], row["cost_worker_seconds"]) == (5.0, 4.0)
    assert json.loads(row["fingerprint"]) == {"a": 1}
    assert row["run"] == f"{nights.home}/runs/a-2"


def test_run_twice_nothing_is_done_twice(nights: Nights) -> None:
    nights.complete("step-1")
    nights.complete("step-2")
    first = nights.call()
    before = Path(f"{nights.home}/history.parquet").stat()
    second = nights.call("--json")
    assert (first.returncode, second.returncode) == (0, 0)
    assert json.loads(second.stdout)["judged"] == []
    assert nights.scored == ["step-1", "step-2"]
    after = Path(f"{nights.home}/history.parquet").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert not Path(f"{nights.home}/driver.json").exists()


def test_a_name_that_is_used_again_is_not_judged_again_and_that_is_said(nights: Nights) -> None:
    nights.complete("step-1")
    set_mark(nights, "step-1", 0)
    assert "later mark" not in nights.call().stderr + nights.call().stderr
    set_mark(nights, "step-1", 1)
    done = nights.call("--json")
    assert (done.returncode, json.loads(done.stdout)["judged"]) == (0, [])
    assert "checkpoint step-1 has a later mark than when it was judged" in done.stderr


def test_without_its_mark_a_checkpoint_is_not_complete(nights: Nights) -> None:
    nights.add("step-1")
    Path(f"{nights.root}/inbox/README").write_text("no checkpoint")
    done = nights.call("--json")
    assert (done.returncode, json.loads(done.stdout)["judged"]) == (0, [])
    nights.complete("step-1")
    assert nights.call().returncode == 0
    assert nights.words() == [("step-1", None, None)]


def test_undecided_neither_passes_nor_stops_the_line(nights: Nights) -> None:
    nights.complete("step-1")
    nights.complete("step-2", concepts=5)
    nights.complete("step-3")
    assert nights.call().returncode == 5
    assert nights.words() == [
        ("step-1", None, None),
        ("step-2", "undecided", "step-1"),
        ("step-3", "same", "step-1"),
    ]
    nights.complete("step-4", n_error=10)
    assert nights.call("limits.max_error_rate=0.05").returncode == 2
    assert nights.words()[-1] == ("step-4", "same", "step-3")


def test_the_exit_status_is_the_gravest_of_this_call(nights: Nights) -> None:
    nights.complete("step-1")
    nights.complete("step-2", concepts=5, n_error=5)
    nights.complete("step-3", drop=DROP)
    nights.complete("step-4")
    assert nights.call().returncode == 4
    assert nights.call().returncode == 0, "what an earlier call judged is no news"
    nights.complete("step-5", drop=DROP)
    nights.complete("step-6", is_broken=True)
    nights.complete("step-7")
    done = nights.call("--json")
    assert done.returncode == 3
    found = json.loads(done.stdout)
    assert [row["checkpoint"] for row in found["judged"]] == ["step-5"]
    assert found["unfinished"] == "step-6: workers do not start"
    assert found["n_waiting"] == 2
    # Those after it are held against it if it passes, so it is not gone past.
    nights.complete("step-6")
    set_mark(nights, "step-6", 0)
    assert nights.call().returncode == 0
    assert nights.words()[-2:] == [("step-6", "same", "step-4"), ("step-7", "same", "step-6")]


def test_a_slow_drift_passes_night_by_night_and_is_caught_by_the_pin(nights: Nights) -> None:
    rows = making.rows_of("release")
    write_part(f"{nights.root}/release", "part", rows, making.FOOTER)
    nights.complete("step-1", drop=0.003)
    nights.complete("step-2", drop=0.006)
    done = nights.call(f"baseline={nights.root}/release")
    assert done.returncode == 4
    first, second = nights.history()
    assert (first["verdict"], first["verdict_pin"], first["passed"]) == (None, "same", True)
    assert (second["verdict"], second["verdict_pin"]) == ("same", "regressed")
    assert not second["passed"]
    assert second["cp_delta_pin"] == pytest.approx(-0.006, abs=0.001)
    assert second["pin"] == f"{nights.root}/release"
    assert Path(f"{nights.home}/runs/step-2/compare/pin-compare.md").is_file()


def test_a_night_leaves_what_a_page_of_ci_takes(nights: Nights) -> None:
    nights.complete("step-1")
    nights.complete("step-2", drop=DROP)
    out = Path(nights.root) / "out"
    nights.call(f"out={out}")
    said = (out / "night.md").read_text()
    assert "step-2: regressed against step-1" in said
    assert "What has changed: step-2" in said and "- CP -0.0" in said
    suites = ElementTree.fromstring((out / "junit.xml").read_bytes())
    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")
    assert json.loads((out / "night.json").read_text())["judged"][1]["verdict"] == "regressed"


def test_a_night_that_was_not_finished_says_so(nights: Nights) -> None:
    nights.complete("step-1", is_broken=True)
    out = Path(nights.root) / "out"
    assert nights.call(f"out={out}").returncode == 3
    assert (out / "night.md").read_text() == (
        "**Not finished**: step-1: workers do not start\n\nNo checkpoint was judged.\n"
    )


def test_of_two_calls_at_once_one_works(nights: Nights) -> None:
    nights.complete("step-1")
    holder = replace(Holder.this_process(), host="elsewhere", id="first")
    home, ended = RunDirectory(nights.home), threading.Event()

    def beat() -> None:
        heartbeats = 0
        while not ended.is_set():
            heartbeats += 1
            home.write_lease({"holder": asdict(holder), "heartbeats": heartbeats})
            time.sleep(0.02)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        while home.read_lease() is None:
            time.sleep(0.01)
        done = nights.call()
    finally:
        ended.set()
        thread.join()
    assert done.returncode == 1
    assert f"home={nights.home} has a driver: host elsewhere" in done.stderr
    assert nights.scored == []


def test_margins_are_held_against_what_chance_does(nights: Nights) -> None:
    nights.complete("step-1", seeds=8, noise=0.05)
    nights.complete("step-2", seeds=8, noise=0.05)
    nights.call("aa_every=2", "gate.cp=0.004", "gate.pf=0.5")
    first, second = nights.history()
    assert 0.004 < first["cp_floor"] < 0.05
    assert second["cp_floor"] is None
    for row in (first, second):
        assert [each["kind"] for each in row["suspicions"] if each["of"] == "margin"] == [
            "margin:cp"
        ]


def test_with_one_seed_there_is_no_floor_and_that_is_said(nights: Nights) -> None:
    nights.complete("step-1", seeds=1)
    done = nights.call()
    assert "A/A: no prompt has two seeds, so there is no floor" in done.stderr
    [row] = nights.history()
    assert row.get("cp_floor") is None
    nights.complete("step-2", seeds=1)
    assert "A/A" not in nights.call("aa_every=null").stderr


def test_rows_of_old_runs_go_but_for_the_last_that_passed(nights: Nights) -> None:
    for number, drop in enumerate((0.0, 0.0, DROP, DROP)):
        nights.complete(f"step-{number}", drop=drop)
        nights.call("keep=1")
    left = sorted(path.parent.name for path in Path(nights.home).glob("runs/*/scores"))
    assert left == ["step-1", "step-3"]
    assert [row["is_kept"] for row in nights.history()] == [False, True, False, True]
    assert Path(f"{nights.home}/runs/step-2/compare/compare.md").is_file()


def test_the_pinned_run_never_goes(nights: Nights) -> None:
    for number in range(3):
        nights.complete(f"step-{number}")
        nights.call("keep=1", *([f"baseline={nights.home}/runs/step-0"] if number else []))
    left = sorted(path.parent.name for path in Path(nights.home).glob("runs/*/scores"))
    assert left == ["step-0", "step-2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("inbox=/there/*.tar",), "expected {checkpoint} once"),
        (("inbox=/there/{checkpoint}.tar",), "has to be a folder"),
        (("inbox=/*/{checkpoint}/*.tar",), "patterns are for the shards' own names"),
        (("inbox=s3://{checkpoint}/*.tar",), "cannot be the bucket"),
        (("home=https://there/x",), "home=https://there/x: is read, and not written to"),
        (("gate={cp: null, pf: null}",), "no column is left in it"),
        (("gate.cp=-1",), "gate.cp=-1.0: expected 0.0 to "),
        (("aa_every=0",), "aa_every=0: expected 1 or more"),
        (("keep=0",), "keep=0: expected 1 or more"),
        (("segmenter.name=sam3", "segmenter.out=/x"), "masks go to HOME/segmented"),
        (("webhook.form=teams",), "webhook.form=teams: expected auto, slack, json"),
        (("webhook.variable=https://hooks.slack.com/secret",), "the name of an environment"),
        (("samples=x",), "unknown setting 'samples'"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    nights: Nights, words: tuple[str, ...], said: str
) -> None:
    nights.complete("step-1")
    done = nights.call(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr and "secret" not in done.stderr
    assert nights.scored == []


def test_a_gated_column_that_is_not_there_is_said_at_the_first_checkpoint(nights: Nights) -> None:
    nights.complete("step-1")
    done = nights.call("gate.clip_i=0.01")
    assert done.returncode == 1
    assert "'clip_i' is no score column" in done.stderr
    assert not Path(f"{nights.home}/history.parquet").exists()


def test_a_number_that_no_column_holds_is_no_step(nights: Nights) -> None:
    nights.complete("2026112712345678901234567890")
    assert nights.call().returncode == 0
    assert [row["step"] for row in nights.history()] == [None]


@pytest.mark.parametrize("name", [None, "a b"])
def test_an_inbox_that_cannot_be_used_leaves_no_home(nights: Nights, name: str | None) -> None:
    if name:
        nights.complete(name)
    done = nights.call()
    assert (done.returncode, done.stdout) == (1, "")
    assert ("no such folder" if name is None else "rename it") in done.stderr
    assert not Path(nights.home).exists()


def test_a_storage_that_does_not_answer_is_a_night_that_was_not_finished(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    for is_transient, status in ((True, 3), (False, 1)):

        def fail(_: Inbox, known: object, is_transient: bool = is_transient) -> list[Checkpoint]:
            raise StorageError("s3://there", "SlowDown", is_transient)

        monkeypatch.setattr(Inbox, "complete", fail)
        assert nights.call().returncode == status


def test_a_checkpoint_of_two_models_is_none(nights: Nights) -> None:
    nights.complete("step-1", models=2)
    done = nights.call()
    assert done.returncode == 1
    assert "checkpoint step-1: a checkpoint is one model, and its shards hold step-1-0" in (
        done.stderr
    )
    assert not Path(f"{nights.home}/history.parquet").exists()


def test_a_name_that_could_be_taken_for_a_pattern_is_refused(nights: Nights) -> None:
    nights.complete("step-[1]")
    done = nights.call()
    assert (done.returncode, nights.scored) == (1, [])
    assert "a checkpoint is called 'step-[1]'" in done.stderr


@pytest.mark.parametrize("is_parquet", [False, True])
def test_a_history_that_is_none_is_left_as_it_is(nights: Nights, is_parquet: bool) -> None:
    nights.complete("step-1")
    history = Path(f"{nights.home}/history.parquet")
    history.parent.mkdir()
    if is_parquet:
        pq.write_table(pa.table({"checkpoint": ["x"]}), history)
    else:
        history.write_text("mine")
    content = history.read_bytes()
    done = nights.call()
    assert (done.returncode, nights.scored) == (1, [])
    assert "history.parquet is no history" in done.stderr
    assert history.read_bytes() == content
