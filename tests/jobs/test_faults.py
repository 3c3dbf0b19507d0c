"""A run survives what happens to it: the faults are real, and the rows those of a quiet run."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL.PngImagePlugin import PngInfo
from ray.cluster_utils import Cluster

from tests.commands import SUBMITTED, Run, command, description_of, here, rows_of
from tests.driving import Evaluation, kill, until, workers
from tests.faults.disk import small_disk as small_disk
from tests.jobs.test_evaluate import write_good_shards
from tests.pictures import painted
from tests.shards import Member, generation, reference, write_tar

pytestmark = pytest.mark.services

N_SHARDS = 18
N_SAMPLES = 10
N_REFERENCES = 40
"""Enough that their tokens are an object on a node, and not part of an answer."""
REDONE = re.compile(r"shard \S+ (failed, will be tried|is given out) again: ")
"""Said of a shard that was begun by a worker that is gone."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards that keep two workers at work for some seconds."""
    folder = tmp_path_factory.mktemp("shards")
    members: list[Member] = []
    for i in range(N_REFERENCES):
        members += reference(f"cat/{i:02d}", 1000 + i)
    write_tar(folder / "references-000000.tar", members)
    for shard in range(N_SHARDS):
        members = []
        for i in range(N_SAMPLES):
            members += generation(
                f"{shard}/{i}", shard * N_SAMPLES + i, [(96, 96), (128, 72)][i % 2]
            )
        write_tar(folder / f"generations-{shard:06d}.tar", members)
    return folder


@pytest.fixture(scope="module")
def encoder(naflex_checkpoint: Path) -> list[str]:
    return [
        f"encoder.name_or_path={naflex_checkpoint}",
        "encoder.max_num_patches=256",
        "workers.batch_size=2",
        "workers.cpus=1",  # threads that wait for one another take cores from the rest
    ]


@pytest.fixture(scope="module")
def quiet(shards: Path, encoder: list[str], on_cluster: None) -> list[dict]:
    """The rows of a run that nobody disturbed."""
    done = here(
        *("evaluate", *sources(shards), f"run={shards}/quiet"),
        *(*encoder, "workers.count=1"),
    )
    assert done.returncode == 0, done.stderr
    return in_order(rows_of(shards / "quiet"))


def in_order(rows: list[dict]) -> list[dict]:
    """Rows as they do not depend on who wrote them, or where the shards lie."""
    return sorted(
        ({**row, "shard": Path(row["shard"]).name} for row in rows), key=lambda r: r["key"]
    )


@pytest.fixture
def folder(shards: Path, tmp_path: Path) -> Path:
    """A folder of the same shards, for a run of its own."""
    return linked(shards, tmp_path)


def linked(shards: Path, folder: Path) -> Path:
    for shard in shards.glob("*.tar"):
        os.link(shard, folder / shard.name)
    return folder


def sources(folder: Path) -> tuple[str, str]:
    return f"samples={folder}/generations-*.tar", f"references={folder}/references-*.tar"


@pytest.fixture
def nodes() -> Iterator[Cluster]:
    """A head without a GPU, and a node with one."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "num_gpus": 0, "include_dashboard": False},
    )
    cluster.add_node(num_cpus=1, num_gpus=1)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


def test_a_killed_workers_shards_are_done_by_another_and_a_lost_nodes_by_one_that_comes(
    folder: Path,
    encoder: list[str],
    nodes: Cluster,
    quiet: list[dict],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the node go the references that were encoded there. The call brings its code, as one
    from outside the cluster does."""
    monkeypatch.delenv(SUBMITTED, raising=False)
    [first] = nodes.worker_nodes
    with Evaluation(folder, *encoder, f"ray.address={nodes.address}") as evaluation:
        evaluation.until_parts()
        [worker] = workers()
        kill(worker)
        until(lambda: bool(REDONE.search(evaluation.stderr)), "the death to be noticed")
        evaluation.until_parts()  # by another
        n_redone = len(REDONE.findall(evaluation.stderr))
        nodes.remove_node(first, allow_graceful=False)
        nodes.add_node(num_cpus=1, num_gpus=1)
        assert evaluation.ended() == 0, evaluation.stderr
    assert len(REDONE.findall(evaluation.stderr)) > n_redone
    assert "references-000000.tar were lost with a node" in evaluation.stderr
    assert in_order(rows_of(folder / "run")) == quiet
    assert not list((folder / "run" / "failed").glob("*"))
    said = f"{len(quiet)} samples: {len(quiet)} ok, 0 skipped, 0 errors; 0 shards set aside"
    assert said in evaluation.stderr
    took_part = {worker["node"] for worker in description_of(folder / "run")["workers"]}
    assert took_part
    assert first.node_id not in took_part


@dataclass(frozen=True)
class Ended:
    """A call for a run, and how it left that."""

    status: int
    stderr: str
    parts: dict[str, int]
    """With their times of change."""
    state: str
    has_lease: bool


@dataclass(frozen=True)
class Calls:
    """Calls for one run, each of which goes on where the one before it was ended."""

    run: Path
    first_pid: int
    parts_at_second: dict[str, int]
    """Those that there were when a second driver had been refused."""
    second: Run
    """What the second driver was told."""
    asked_twice: Ended
    """The first, by two SIGTERMs."""
    killed: Ended
    asked: dict[signal.Signals, Ended]
    """By one signal."""
    last: Ended
    """Left alone."""


@pytest.fixture(scope="module")
def calls(
    shards: Path,
    encoder: list[str],
    cluster_address: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Calls:
    folder = linked(shards, tmp_path_factory.mktemp("calls"))
    words = (*encoder, "workers.count=1", f"ray.address={cluster_address}")

    def ended(call: Evaluation) -> Ended:
        status = call.ended()
        # Ray ends its workers; what they were about to commit, they may.
        until(lambda: not workers(), "the end of the call's workers")
        state = description_of(call.run)["state"]
        has_lease = (call.run / "driver.json").exists()
        return Ended(status, call.stderr, call.parts(), state, has_lease)

    def ended_by(number: signal.Signals) -> Ended:
        with Evaluation(folder, *words) as call:
            call.until_parts()
            call.signal(number)
            return ended(call)

    with Evaluation(folder, *words) as first:
        first.until_parts()
        [worker] = workers()
        os.kill(worker, signal.SIGSTOP)  # the first must not be done before the second is refused
        second = here("evaluate", *sources(folder), f"run={first.run}", *words, "overwrite=true")
        parts_at_second = first.parts()
        os.kill(worker, signal.SIGCONT)
        first.signal(signal.SIGTERM)
        first.signal(signal.SIGTERM)
        asked_twice = ended(first)
    killed = ended_by(signal.SIGKILL)
    asked = {number: ended_by(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with Evaluation(folder, *words) as again:
        last = ended(again)
    return Calls(first.run, first.pid, parts_at_second, second, asked_twice, killed, asked, last)


def test_a_second_driver_is_refused_while_the_first_runs(calls: Calls) -> None:
    assert calls.second.returncode == 1
    [line] = [line for line in calls.second.stderr.splitlines() if " INFO " not in line]
    assert f"has a driver: host {socket.gethostname()}, pid {calls.first_pid}, since 20" in line
    assert calls.parts_at_second
    assert calls.asked_twice.status == 3
    assert calls.asked_twice.parts.items() >= calls.parts_at_second.items()


def test_a_killed_driver_is_gone_on_from_where_it_was(calls: Calls) -> None:
    before, after = calls.killed, calls.asked[signal.SIGTERM]
    assert before.status == -signal.SIGKILL
    assert 0 < len(before.parts) < N_SHARDS
    assert before.parts.items() > calls.asked_twice.parts.items()
    assert (before.state, before.has_lease) == ("running", True)
    assert f"{N_SHARDS} shards, {len(before.parts)} of them scored before" in after.stderr
    assert after.parts.items() > before.parts.items()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_notice_to_end_leaves_whole_parts(calls: Calls, number: signal.Signals) -> None:
    call = calls.asked[number]
    assert call.status == 3, call.stderr
    last = call.stderr.strip().splitlines()[-1]
    n_left = N_SHARDS - len(call.parts)
    said = f"{number.name}: stopped with {n_left} shards to do, 0 of them begun; the same call"
    assert said in last
    assert (call.state, call.has_lease) == ("stopped", False)
    assert n_left > 0


def test_after_all_of_these_the_same_call_ends_the_run_as_if_it_had_been_left_alone(
    calls: Calls, quiet: list[dict]
) -> None:
    assert calls.last.status == 0, calls.last.stderr
    assert calls.last.parts.items() > calls.asked[signal.SIGINT].parts.items()
    assert len(calls.last.parts) == N_SHARDS
    assert in_order(rows_of(calls.run)) == quiet
    assert (calls.last.state, calls.last.has_lease) == ("done", False)


DEADLY = """
import os, signal
from PIL import Image

open_image = Image.open

def open_or_die(file, *more, **options):
    if b"deadly" in file.getvalue():
        os.kill(os.getpid(), signal.SIGKILL)
    return open_image(file, *more, **options)

Image.open = open_or_die
"""


def test_a_shard_that_kills_every_worker_is_set_aside_and_tried_again_by_the_next_call(
    naflex_checkpoint: Path, on_cluster: None, tmp_path: Path
) -> None:
    """As by a decoder's crash: Python runs a `sitecustomize` it finds in every process."""
    write_good_shards(tmp_path, n_shards=5, n_samples=4)
    write_tar(tmp_path / "generations-000004.tar", deadly_members())
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "sitecustomize.py").write_text(DEADLY)
    words = (
        *(*sources(tmp_path), f"run={tmp_path}/run"),
        f"encoder.name_or_path={naflex_checkpoint}",
        "encoder.max_num_patches=64",
        "limits.max_shard_attempts=2",
        *("workers.count=1", "workers.cpus=1"),
    )
    run = command("evaluate", *words, PYTHONPATH=str(tmp_path / "python"))
    assert run.returncode == 3, run.stderr
    assert "16 samples: 16 ok, 0 skipped, 0 errors; 1 shards set aside" in run.stderr
    [note] = (tmp_path / "run" / "failed").iterdir()
    said = json.loads(note.read_text())
    assert said["url"] == str(tmp_path / "generations-000004.tar")
    assert said["attempts"] == 2
    assert "died" in said["error"].lower()
    assert description_of(tmp_path / "run")["state"] == "incomplete"

    mended = here("evaluate", *words)
    assert mended.returncode == 0, mended.stderr
    assert "5 shards, 4 of them scored before" in mended.stderr
    assert len(rows_of(tmp_path / "run")) == 18
    assert not list((tmp_path / "run" / "failed").iterdir())


def deadly_members() -> list[Member]:
    """Two good samples, one of whose images says that it is deadly."""
    info = PngInfo()
    info.add_text("comment", "deadly")
    image = io.BytesIO()
    painted((96, 96), 2)[0].save(image, "PNG", pnginfo=info)
    members = [*generation("deadly/0", 1), *generation("deadly/1", 2)]
    return [*members[:-1], ("deadly/1.png", image.getvalue())]


def test_a_full_disk_ends_the_run_with_one_line_and_no_damaged_part(
    small_disk: Path, folder: Path, encoder: list[str], on_cluster: None, quiet: list[dict]
) -> None:
    words = (*sources(folder), f"run={small_disk}/run", *encoder)
    run = here("evaluate", *words)
    assert run.returncode == 3, run.stderr
    assert "Traceback" not in run.stderr
    assert re.search(
        r"ERROR run=.*/disk/run: cannot be written to: OSError: .*No space left on device; "
        r"the same call goes on from here",
        run.stderr,
    )
    kept = rows_of(small_disk / "run")
    assert 0 < len(kept) < len(quiet)
    assert not list((small_disk / "run" / "scores").glob(".*"))
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    again = here("evaluate", *words)
    assert again.returncode == 0, again.stderr
    assert in_order(rows_of(small_disk / "run")) == quiet
