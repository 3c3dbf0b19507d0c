"""One driver a run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from jobs.pipeline.errors import CallError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.lease import Holder, Lease
from tests.faults.proxy import Fault, FaultyProxy, Rule
from tests.faults.s3 import client_environment, environment, s3_server

WAIT = 30.0
HERE = Holder.this_process()


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(str(tmp_path / "run"))


def claim(run: RunDirectory, refresh_seconds: float = 0.1, expires_seconds: float = WAIT) -> Lease:
    return Lease(run, lambda: None, refresh_seconds, expires_seconds)


def write_lease(run: RunDirectory, holder: Holder, heartbeats: int = 1) -> None:
    run.write_lease({"holder": asdict(holder), "heartbeats": heartbeats})


def holder_of(run: RunDirectory) -> Holder:
    standing = run.read_lease()
    assert standing is not None
    return Holder(**standing["holder"])


@contextmanager
def beating(run: RunDirectory, holder: Holder) -> Iterator[None]:
    """A driver that has the run, and lives."""
    ended = threading.Event()

    def beat() -> None:
        heartbeats = 0
        while not ended.is_set():
            heartbeats += 1
            write_lease(run, holder, heartbeats)
            time.sleep(0.02)

    thread = threading.Thread(target=beat)
    thread.start()
    while run.read_lease() is None:
        time.sleep(0.01)
    yield
    ended.set()
    thread.join()


@contextmanager
def living_process() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    process.kill()
    process.wait()


def test_a_second_driver_is_told_who_has_the_run(run: RunDirectory) -> None:
    with living_process() as pid:
        first = replace(HERE, pid=pid, id="first")
        said = rf"has a driver: host {socket.gethostname()}, pid {pid}, since 20.*\. Wait"
        with beating(run, first), pytest.raises(CallError, match=said), claim(run):
            pass


def test_another_hosts_claim_that_beats_is_respected(run: RunDirectory) -> None:
    elsewhere = replace(HERE, host="elsewhere", pid=1, id="first")
    said = "host elsewhere, pid 1"
    with beating(run, elsewhere), pytest.raises(CallError, match=said), claim(run):
        pass


def test_a_run_is_free_when_its_driver_ends_however_it_does(run: RunDirectory) -> None:
    with pytest.raises(KeyError), claim(run):
        assert holder_of(run).pid == os.getpid()
        raise KeyError
    assert run.read_lease() is None


@pytest.mark.parametrize("is_restarted_container", [False, True])
def test_a_driver_known_to_be_dead_is_no_hindrance(
    run: RunDirectory, is_restarted_container: bool
) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    # In a container that was restarted, the new driver may have the number of the dead one.
    pid = os.getpid() if is_restarted_container else process.pid
    write_lease(run, replace(HERE, pid=pid, id="dead"))
    began = time.monotonic()
    with claim(run):
        assert holder_of(run).id != "dead"
    assert time.monotonic() - began < WAIT


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"pid_namespace": "pid:[1]"}, {}])
def test_a_silent_claim_expires(run: RunDirectory, change: dict[str, str]) -> None:
    with living_process() as pid:
        write_lease(run, replace(HERE, pid=pid, id="silent", **change))
        with claim(run, expires_seconds=0.3):
            assert holder_of(run).id != "silent"


def test_a_claim_is_kept_fresh_and_its_loss_is_noticed(run: RunDirectory) -> None:
    lost = threading.Event()
    with Lease(run, lost.set, refresh_seconds=0.05) as held:
        first = run.read_lease()
        until = time.monotonic() + WAIT
        while run.read_lease() == first and time.monotonic() < until:
            time.sleep(0.05)
        assert run.read_lease() != first
        other = replace(HERE, host="elsewhere", id="other")
        with beating(run, other):
            assert lost.wait(WAIT)
        assert held.is_lost
    # It is the other's now.
    assert holder_of(run) == other


@pytest.mark.parametrize("text", ["[]", "3", "null", "{}", '{"host": "a"}', "{", ""])
def test_a_file_that_no_driver_wrote_is_nobodys(run: RunDirectory, text: str) -> None:
    path = Path(run.url) / "driver.json"
    path.parent.mkdir()
    path.write_text(text)
    assert run.read_lease() is None
    with claim(run):
        assert holder_of(run).pid == os.getpid()
    assert not path.exists()


def test_a_run_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(CallError, match=r"^run=.*/file/run: cannot be written to: "),
        claim(RunDirectory(str(tmp_path / "file" / "run"))),
    ):
        pass


@pytest.mark.parametrize(
    "holder", ['{"host": "a"}', "5", "null", '["a"]', '{"host": 1, "pid": "x", "since": 2}']
)
def test_a_holder_that_no_driver_wrote_is_nobody(run: RunDirectory, holder: str) -> None:
    path = Path(run.url) / "driver.json"
    path.parent.mkdir()
    path.write_text(f'{{"holder": {holder}}}')
    with claim(run):
        assert holder_of(run).pid == os.getpid()


def test_a_holder_of_whom_a_later_version_says_more_is_respected(run: RunDirectory) -> None:
    later = {**asdict(replace(HERE, host="elsewhere")), "rack": 7}
    run.write_lease({"holder": later, "heartbeats": 1})
    held = claim(run, expires_seconds=0.3)
    began = time.monotonic()
    with held:
        assert time.monotonic() - began >= 0.3


@pytest.mark.services
def test_a_storage_that_is_busy_for_a_moment_keeps_nobody_from_a_run() -> None:
    with (
        s3_server() as server,
        FaultyProxy(server.port) as proxy,
        environment(client_environment(proxy.url)),
    ):
        server.filesystem().mkdir("results")
        refused = Rule(Fault.SLOW_DOWN, "PUT", "driver.json", count=12)  # s3fs gives up at ten
        proxy.add(refused)
        run = RunDirectory("s3://results/run")
        run.open(overwrite=False)
        with claim(run):
            assert holder_of(run).pid == os.getpid()
        assert refused.count == 0
