"""A nightly job that is killed at every step of its loop, against the figures of a quiet one."""

from __future__ import annotations

import fnmatch
import json
import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any

import fsspec
import pytest

from jobs.pipeline import nightly
from jobs.pipeline.judging import STEPS, NightWork, Step
from jobs.pipeline.nights.home import Home
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.lease import Holder
from tests.faults.proxy import Fault, FaultyProxy, Rule
from tests.faults.s3 import client_environment, environment, s3_server
from tests.nights import Nights, nights_at

OF_THE_CLOCK = ("judged", "run", "time")
"""Columns that differ from night to night, whatever happens."""
BETWEEN_STEPS = ("driver.json",)
"""What may be written in HOME at any time."""

IS_SOAK = os.environ.get("SOAK") == "1"


class Killed(BaseException):
    """Nothing catches it but what ends with the process."""


def fill(nights: Nights) -> None:
    """Two checkpoints: once the second has passed, the first's rows are no longer needed."""
    nights.complete("step-1")
    nights.complete("step-2", drop=-0.02)


def figures(nights: Nights) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name not in OF_THE_CLOCK}
        for row in nights.history()
    ]


def listed(home: str) -> dict[str, Any]:
    """What tells each file in HOME from another content of it."""
    fs, path = fsspec.core.url_to_fs(home)
    fs.invalidate_cache()
    infos = fs.find(path, detail=True)
    return {
        name.removeprefix(path).lstrip("/"): (info.get("ETag"), info.get("mtime"), info["size"])
        for name, info in infos.items()
    }


def assert_written(step: Step | None, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Whatever has changed is in the step's list."""
    patterns = [each.replace("{checkpoint}", "step-?") for each in step.writes] if step else []
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    strange = [
        name
        for name in changed
        if not any(fnmatch.fnmatch(name, pattern) for pattern in (*patterns, *BETWEEN_STEPS))
    ]
    assert not strange, f"{step and step.name} wrote {sorted(strange)}"


@contextmanager
def writes_watched(nights: Nights, wrote: Callable[[str], None]) -> Iterator[None]:
    """Call `wrote` after each write of the home's own, and after each step; and look after each
    step, and between them, whether anything else was written."""
    last = [listed(nights.home)]

    def look(step: Step | None) -> None:
        now = listed(nights.home)
        assert_written(step, last[0], now)
        last[0] = now

    def watched(step: Step) -> Step:
        def do(work: NightWork) -> None:
            look(None)
            try:
                step.do(work)
            finally:
                look(step)
            wrote(step.name)

        return replace(step, do=do)

    def after(method: str) -> Callable[..., None]:
        real = getattr(Home, method)

        def write(home: Home, *args: Any) -> None:
            real(home, *args)
            wrote(method)

        return write

    with pytest.MonkeyPatch.context() as patch:
        for method in ("write", "write_history", "remove"):
            patch.setattr(Home, method, after(method))
        patch.setattr(nightly, "STEPS", tuple(map(watched, STEPS)))
        yield


def leave_lease(nights: Nights) -> None:
    """As a killed process leaves it; one of our own number is known to be dead."""
    dead = replace(Holder.this_process(), id="dead")
    RunDirectory(nights.home).write_lease({"holder": asdict(dead), "heartbeats": 3})


WORDS = ("keep=1", "--json")


Quiet = tuple[list[dict[str, Any]], list[str]]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Quiet:
    """The figures of nights at which nothing happens, and what they wrote, in order."""
    written: list[str] = []
    with nights_at(str(tmp_path_factory.mktemp("quiet"))) as nights:
        fill(nights)
        with writes_watched(nights, written.append):
            assert nights.call(*WORDS).returncode == 0
        return figures(nights), written


def test_every_step_is_there_and_writes_what_its_list_says(quiet: Quiet) -> None:
    found, written = quiet
    assert [row["checkpoint"] for row in found] == ["step-1", "step-2"]
    of_step = [step.name for step in STEPS]
    assert [name for name in written if name in of_step] == of_step * 2
    # A page each; of the first no comparison, of the second three files; a row each, and at last
    # that the first is no longer kept: its scores and its shards with masks are gone.
    own = [name for name in written if name not in of_step]
    assert {name: own.count(name) for name in own} == {
        "write": 5,
        "write_history": 3,
        "remove": 2,
    }


@pytest.mark.slow
def test_killed_after_any_write_the_next_call_goes_on(quiet: Quiet, tmp_path: Path) -> None:
    expected, written = quiet
    # Before its first row a night is as if it had not begun.
    for at in range(written.index("write_history"), len(written)):
        with nights_at(str(tmp_path / f"killed-{at}")) as nights:
            fill(nights)
            numbers = count()

            def kill(what: str, numbers: Iterator[int] = numbers, at: int = at) -> None:
                if next(numbers) == at:
                    raise Killed(what)

            with writes_watched(nights, kill), suppress(Killed):
                nights.call(*WORDS)
            assert next(numbers) == at + 1, "it was killed"
            leave_lease(nights)
            done = nights.call(*WORDS)
            assert done.returncode == 0, done.stderr
            assert figures(nights) == expected, f"killed after {written[at]}, number {at}"
            # What was scored before it was killed is scored once more at most.
            assert len(nights.scored) <= 3


def die(root: str, at: int) -> None:
    """A night of a process that the system ends after this one of its writes and steps."""
    numbers = count()

    def kill(_: str) -> None:
        if next(numbers) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    with nights_at(root) as nights, writes_watched(nights, kill):
        nights.call(*WORDS)


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_what_the_next_one_goes_on_with(
    quiet: Quiet, tmp_path: Path
) -> None:
    expected, written = quiet
    # Of the second checkpoint: amid its comparison, and after the last step; with `make soak`
    # after each.
    second = written.index("write")
    steps = [at for at in range(second, len(written)) if written[at] in [s.name for s in STEPS]]
    if not IS_SOAK:
        steps = steps[-1:]
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    for at in (second, *steps):
        root = str(tmp_path / f"killed-{at}")
        with nights_at(root) as nights:
            fill(nights)
            process = processes.Process(target=die, args=(root, at))
            process.start()
            process.join()
            assert process.exitcode == -signal.SIGKILL
            left = json.loads((tmp_path / f"killed-{at}" / "home" / "driver.json").read_text())
            assert left["holder"]["pid"] == process.pid
            done = nights.call(*WORDS)
            assert done.returncode == 0, done.stderr
            assert figures(nights) == expected, f"killed after {written[at]}, number {at}"
            assert not Path(nights.home, "driver.json").exists()


def test_a_step_that_writes_elsewhere_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stray(work: NightWork) -> None:
        (tmp_path / "home" / "runs" / "notes.txt").write_text("stray")

    with nights_at(str(tmp_path)) as nights:
        nights.complete("step-1")
        strays = (*STEPS[:2], replace(STEPS[2], do=stray), *STEPS[3:])
        monkeypatch.setattr("tests.jobs.test_nights_killed.STEPS", strays)
        with writes_watched(nights, lambda _: None):
            done = nights.call()
    assert done.returncode == 1
    assert re.search(r"judge wrote \['runs/notes.txt'\]", done.stderr)


@pytest.mark.services
def test_on_object_storage_with_faults_the_history_is_that_of_a_quiet_night(
    quiet: Quiet,
) -> None:
    expected, written = quiet
    # The last thing written before the last row; `make soak` goes through every step after the
    # first row, half a minute each, which is what faults make a call wait.
    points = [len(written) - 1 - written[::-1].index("write")]
    if IS_SOAK:
        steps = [at for at, what in enumerate(written) if what in [step.name for step in STEPS]]
        points += [at for at in steps if at > written.index("write_history")]
    with (
        s3_server() as server,
        FaultyProxy(server.port) as proxy,
        environment(client_environment(proxy.url)),
    ):
        server.filesystem().mkdir("nights")
        for at in points:
            proxy.clear()
            with nights_at(f"s3://nights/killed-{at}") as nights:
                fill(nights)
                numbers = count()

                def kill(what: str, numbers: Iterator[int] = numbers, at: int = at) -> None:
                    if next(numbers) == at:
                        raise Killed(what)

                proxy.add(
                    Rule(Fault.SLOW_DOWN, probability=0.03),
                    Rule(Fault.CUT, "GET", probability=0.03),
                    Rule(Fault.UNANSWERED, "PUT", "history.parquet", count=1),
                )
                with writes_watched(nights, kill), suppress(Killed):
                    nights.call(*WORDS)
                leave_lease(nights)
                statuses: list[int] = []
                while len(statuses) < 5 and (not statuses or statuses[-1] == 3):
                    statuses.append(nights.call(*WORDS).returncode)
                proxy.clear()
                assert statuses[-1] == 0
                assert figures(nights) == expected, f"killed after {written[at]}, number {at}"
        assert proxy.injected[Fault.UNANSWERED] == len(points)
