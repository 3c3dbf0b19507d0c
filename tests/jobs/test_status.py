"""`python -m jobs.status`: from a directory alone, while it goes on and after."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline.cluster.progress import Progress
from jobs.pipeline.cluster.standing import Standing
from jobs.pipeline.cluster.worker_handle import WorkerHandle
from jobs.pipeline.command.call import run_command
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.lease import Holder, Lease
from jobs.pipeline.run.reports import RowCounts, fewest_kinds, kinds_of
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.versions import Version
from jobs.status import StatusConfig, show_status
from tests.commands import Run
from tests.faults.proxy import Fault, FaultyProxy, Rule
from tests.faults.s3 import client_environment, environment, s3_server
from tests.nights import nights_at

ELSEWHERE = replace(Holder.this_process(), host="elsewhere", id="other")


def status(*words: str) -> Run:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run_command("status", StatusConfig, show_status, list(words))
    return Run([*words], code, out.getvalue(), err.getvalue())


def document(*words: str) -> dict[str, Any]:
    done = status(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fill(run: str, state: str = "running", n_parts: int = 3) -> RunDirectory:
    """A run of ten shards, as its driver leaves it."""
    directory = RunDirectory(run)
    directory.open(overwrite=False)
    directory.describe({"state": state, "n_shards": 10, "fingerprint": {}, "counts": {"n": 30}})
    for number in range(n_parts):
        directory._write(f"scores/part-{number}.parquet", b"never read")
    return directory


@pytest.fixture
def run(tmp_path: Path) -> str:
    return str(tmp_path / "run")


def test_while_it_goes_on_the_heartbeats_say_how_far_it_is(run: str) -> None:
    directory = fill(run)
    directory._write("failed/part-9.json", b'{"error": "s3://id:thesecret@b/x.tar: no tar"}')
    with Progress(7) as progress, Lease(directory, lambda: None, refresh_seconds=0.05) as lease:
        lease.told = progress.document
        workers = [WorkerHandle(None), WorkerHandle(None)]
        progress.show(Standing(workers=workers))
        time.sleep(0.2)
        errors = {"mask.png: missing": 4}
        workers[0].shards["a"] = Shard("/a.tar", Version(1, ""))
        counts = RowCounts(ok=190, error=4)
        progress.show(Standing(2, 1, 1, counts, errors, workers=workers))
        until = time.monotonic() + 30
        while time.monotonic() < until:
            standing = directory.read_lease()
            if standing and standing.get("progress", {}).get("n_shards_done") == 2:
                break
            time.sleep(0.02)
        taken = {**(standing or {}), "holder": asdict(ELSEWHERE)}
        while directory.read_lease() != taken and time.monotonic() < until:
            directory.write_lease(taken)
            time.sleep(0.2)  # a heartbeat that was under way may still write over it
        found, shown = document(f"run={run}"), status(f"run={run}").stdout
    assert found["state"] == "running"
    assert (found["n_parts"], found["n_shards"], found["n_failed"]) == (3, 10, 1)
    assert found["holder"]["host"] == "elsewhere"
    told = found["progress"]
    assert (told["n_shards"], told["n_shards_done"], told["n_shards_set_aside"]) == (7, 2, 1)
    assert told["workers"] == {"ready": 2, "idle": 1}
    # 194 samples and 2 of 7 shards since workers scored.
    assert told["samples_a_second"] == pytest.approx(194 / told["seconds"], rel=0.3)
    assert told["seconds_left"] == pytest.approx(told["seconds"] / 2 * 5, abs=0.3)
    assert found["errors"] == errors
    for text in ("3 of 10 are committed", "1 of them idle", "4 x mask.png: missing", "elsewhere"):
        assert text in shown
    assert "s3://b/x.tar: no tar" in shown and "thesecret" not in shown + json.dumps(found)


@pytest.mark.parametrize("state", ["done", "stopped", "incomplete"])
def test_after_it_run_json_says_how_it_ended(run: str, state: str) -> None:
    fill(run, state)
    found = document(f"run={run}")
    assert (found["state"], found["holder"], found["progress"]) == (state, None, None)
    assert status(f"run={run}", "watch=100").returncode == 0, "a watch ends with it"


def test_a_driver_that_went_without_a_word_is_told_from_one_that_lives(run: str) -> None:
    directory = fill(run)
    assert document(f"run={run}")["state"] == "died"
    directory.write_lease({"holder": asdict(replace(Holder.this_process(), id="me"))})
    assert document(f"run={run}")["state"] == "died", "an earlier process of this number"
    directory.write_lease({"holder": asdict(ELSEWHERE), "heartbeats": 1})
    assert document(f"run={run}")["state"] == "running"
    long_ago = time.time() - 100
    os.utime(Path(run) / "driver.json", (long_ago, long_ago))
    found = document(f"run={run}")
    assert found["state"] == "silent"
    assert found["holder"]["heard_seconds"] == pytest.approx(100, abs=30)


@pytest.mark.parametrize("progress", [7, {}, {"n_shards": "x"}, {"checkpoint": 3}, [1]])
def test_a_heartbeat_of_another_version_is_no_error(run: str, progress: object) -> None:
    lease = {"holder": asdict(ELSEWHERE), "heartbeats": 1, "progress": progress}
    fill(run).write_lease(lease)
    done = status(f"run={run}")
    assert done.returncode == 0
    assert "3 of 10 are committed" in done.stdout


def test_of_a_home_it_says_what_was_judged_and_who_is_at_work(tmp_path: Path) -> None:
    with nights_at(str(tmp_path)) as nights:
        nights.complete("step-1")
        nights.complete("step-2", drop=0.02)
        nights.call()
        found = document(f"home={nights.home}")
        assert (found["state"], found["n_judged"]) == ("idle", 2)
        assert (found["last"]["verdict"], found["last_passed"]) == ("regressed", "step-1")
        fill(f"{nights.home}/runs/step-3")
        lease = {"holder": asdict(ELSEWHERE), "progress": {"checkpoint": "step-3"}}
        RunDirectory(nights.home).write_lease(lease)
        found = document(f"home={nights.home}")
        assert (found["state"], found["checkpoint"], found["run"]["n_parts"]) == (
            *("running", "step-3"),
            3,
        )
        shown = status(f"home={nights.home}").stdout
        assert "step-2: regressed against step-1" in shown and "at work on" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "run= or home= is required"),
        (("run=a", "home=b"), "and not both"),
        (("run=/nowhere/at/all",), "no run: neither run.json nor driver.json"),
        (("home=/nowhere/at/all",), "neither history.parquet nor driver.json"),
        (("run=/x", "watch=0"), "watch=0.0: expected more than 0"),
    ],
)
def test_what_is_not_there_is_one_line(words: tuple[str, ...], said: str) -> None:
    done = status(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


def test_of_a_run_it_is_said_without_what_judges_nights(run: str) -> None:
    """Whose imports would take a second of the five that it has."""
    fill(run)
    code = (
        "import sys; from jobs.status import main; status = main();"
        "print(status, {'scipy', 'duckdb', 'ray', 'torch'} & {*sys.modules})"
    )
    words = [sys.executable, "-c", code, f"run={run}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 set()"


def test_errors_are_counted_by_what_they_have_in_common() -> None:
    reasons = [f"json: concept 'c{i}' has no reference" for i in range(3)]
    reasons += [f"image: {i} bytes" for i in range(2)]
    reasons += ["reference r7: mask.png: missing", "mask.png: missing"]
    assert kinds_of(reasons) == {
        "json: concept ... has no reference": 3,
        "image: N bytes": 2,
        "reference: mask.png": 1,
        "mask.png: missing": 1,
    }
    many = {f"kind {chr(97 + i)}": 100 - i for i in range(25)}
    few = fewest_kinds(many)
    assert len(few) == 21
    assert few["other"] == sum(100 - i for i in range(20, 25))
    assert sum(fewest_kinds({**few, "x": 1}).values()) == sum(many.values()) + 1


@pytest.mark.services
def test_on_object_storage_it_lists_and_reads_no_part() -> None:
    with (
        s3_server() as server,
        FaultyProxy(server.port) as proxy,
        environment(client_environment(proxy.url)),
    ):
        server.filesystem().mkdir("runs")
        fill("s3://runs/night", n_parts=40)
        asked = Rule(Fault.DELAY, "GET", count=1000)
        of_parts = Rule(Fault.DELAY, path=".parquet", count=1000)
        proxy.add(asked, of_parts)
        assert document("run=s3://runs/night")["n_parts"] == 40
        assert of_parts.count == 1000
        assert asked.count is not None and 1000 - asked.count <= 8
