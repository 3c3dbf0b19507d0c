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
from pathlib import Path

import pytest
from PIL.PngImagePlugin import PngInfo
from ray.cluster_utils import Cluster

from tests.commands import command, description_of, here, rows_of
from tests.driving import Evaluation, kill, until, workers
from tests.faults.disk import small_disk as small_disk
from tests.jobs.test_evaluate import write_good_shards
from tests.pictures import painted
from tests.shards import Member, generation, reference, write_tar

pytestmark = pytest.mark.services

N_SHARDS = 24
N_SAMPLES = 10
N_REFERENCES = 40
"""Enough that their tokens are an object on a node, and not part of an answer."""


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
    ]


@pytest.fixture(scope="module")
def quiet(shards: Path, encoder: list[str], on_cluster: None) -> list[dict]:
    """The rows of a run that nobody disturbed."""
    done = here(
        "evaluate",
        f"samples={shards}/generations-*.tar",
        f"references={shards}/references-*.tar",
        f"run={shards}/quiet",
        *encoder,
        "workers.count=2",
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
    for shard in shards.glob("*.tar"):
        os.link(shard, tmp_path / shard.name)
    return tmp_path


def test_a_killed_workers_shards_are_done_by_others(
    folder: Path, encoder: list[str], cluster_address: str, quiet: list[dict]
) -> None:
    words = (*encoder, "workers.count=2", f"ray.address={cluster_address}")
    with Evaluation(folder, *words) as evaluation:
        for _ in range(2):
            evaluation.until_parts()
            kill(workers()[0])
        assert evaluation.ended() == 0, evaluation.stderr
    assert "will be tried again" in evaluation.stderr or "given out again" in evaluation.stderr
    assert in_order(rows_of(folder / "run")) == quiet
    assert not list((folder / "run" / "failed").glob("*"))
    said = f"{len(quiet)} samples: {len(quiet)} ok, 0 skipped, 0 errors; 0 shards set aside"
    assert said in evaluation.stderr


@pytest.fixture
def nodes() -> Iterator[Cluster]:
    """A head without a GPU, and two nodes with one."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "num_gpus": 0, "include_dashboard": False},
    )
    for _ in range(2):
        cluster.add_node(num_cpus=1, num_gpus=1)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


def test_a_run_goes_on_with_the_nodes_that_are_left_and_those_that_come(
    folder: Path, encoder: list[str], nodes: Cluster, quiet: list[dict]
) -> None:
    """Both nodes go, and with them the references that were encoded there."""
    first = list(nodes.worker_nodes)
    with Evaluation(folder, *encoder, f"ray.address={nodes.address}") as evaluation:
        evaluation.until_parts()
        for node in first:
            nodes.remove_node(node, allow_graceful=False)
        nodes.add_node(num_cpus=1, num_gpus=1)
        assert evaluation.ended() == 0, evaluation.stderr
    assert "given out again" in evaluation.stderr
    assert "references-000000.tar were lost with a node" in evaluation.stderr
    assert in_order(rows_of(folder / "run")) == quiet
    gone = {node.node_id for node in first}
    took_part = {worker["node"] for worker in description_of(folder / "run")["workers"]}
    assert took_part
    assert not took_part & gone


def test_a_killed_driver_is_gone_on_from_where_it_was(
    folder: Path, encoder: list[str], cluster_address: str, quiet: list[dict]
) -> None:
    words = (*encoder, "workers.count=2", f"ray.address={cluster_address}")
    with Evaluation(folder, *words) as evaluation:
        evaluation.until_parts(3)
        kill(evaluation.pid)
        evaluation.ended()
    # Ray ends its workers; what they were about to commit, they may.
    until(lambda: not workers(), "the end of the killed driver's workers")
    before = evaluation.parts()
    assert 3 <= len(before) < N_SHARDS
    assert description_of(folder / "run")["state"] == "running"
    with Evaluation(folder, *words) as again:
        assert again.ended() == 0, again.stderr
    assert f"{N_SHARDS} shards, {len(before)} of them scored before" in again.stderr
    assert {name: again.parts()[name] for name in before} == before
    assert in_order(rows_of(folder / "run")) == quiet
    assert description_of(folder / "run")["state"] == "done"


def test_a_notice_to_end_leaves_whole_parts_and_the_next_call_goes_on(
    folder: Path, encoder: list[str], cluster_address: str, quiet: list[dict]
) -> None:
    words = (*encoder, "workers.count=2", f"ray.address={cluster_address}")
    for number in (signal.SIGTERM, signal.SIGINT):
        with Evaluation(folder, *words) as evaluation:
            evaluation.until_parts(2)
            evaluation.signal(number)
            assert evaluation.ended() == 3, evaluation.stderr
        last = evaluation.stderr.strip().splitlines()[-1]
        assert re.search(
            rf"{number.name}: stopped with \d+ shards to do, 0 of them begun; the same call", last
        )
        assert description_of(folder / "run")["state"] == "stopped"
        assert not (folder / "run" / "driver.json").exists()
    before = evaluation.parts()
    assert len(before) < N_SHARDS
    with Evaluation(folder, *words) as again:
        assert again.ended() == 0, again.stderr
    assert {name: again.parts()[name] for name in before} == before
    assert in_order(rows_of(folder / "run")) == quiet


def test_a_second_driver_is_refused_while_the_first_runs(
    folder: Path, encoder: list[str], cluster_address: str
) -> None:
    for shard in list(folder.glob("generations-*.tar")):
        for again in range(20):  # the first must not be done before the second is refused
            os.link(shard, shard.with_name(f"{shard.stem}-{again}.tar"))
    words = (*encoder, "workers.count=1", f"ray.address={cluster_address}")
    with Evaluation(folder, *words) as first:
        first.until_parts()
        second = here(
            "evaluate",
            f"samples={folder}/generations-*.tar",
            f"references={folder}/references-*.tar",
            f"run={folder}/run",
            *words,
            "overwrite=true",
        )
        assert second.returncode == 1
        [line] = [line for line in second.stderr.splitlines() if " INFO " not in line]
        assert f"has a driver: host {socket.gethostname()}, pid {first.pid}, since 20" in line
        parts = first.parts()
        assert parts
        first.signal(signal.SIGTERM)
        first.signal(signal.SIGTERM)
        assert first.ended() == 3
    assert first.parts().items() >= parts.items()


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
    naflex_checkpoint: Path, tmp_path: Path
) -> None:
    """As by a decoder's crash: Python runs a `sitecustomize` it finds in every process."""
    write_good_shards(tmp_path, n_shards=5, n_samples=4)
    write_tar(tmp_path / "generations-000002.tar", deadly_members())
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "sitecustomize.py").write_text(DEADLY)
    words = (
        f"samples={tmp_path}/generations-*.tar",
        f"references={tmp_path}/references-*.tar",
        f"run={tmp_path}/run",
        f"encoder.name_or_path={naflex_checkpoint}",
        "encoder.max_num_patches=64",
        "limits.max_shard_attempts=2",
        "workers.count=1",
    )
    run = command("evaluate", *words, PYTHONPATH=str(tmp_path / "python"))
    assert run.returncode == 3, run.stderr
    assert "16 samples: 16 ok, 0 skipped, 0 errors; 1 shards set aside" in run.stderr
    [note] = (tmp_path / "run" / "failed").iterdir()
    said = json.loads(note.read_text())
    assert said["url"] == str(tmp_path / "generations-000002.tar")
    assert said["attempts"] == 2
    assert "died" in said["error"].lower()
    assert description_of(tmp_path / "run")["state"] == "incomplete"

    mended = command("evaluate", *words)
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
    words = (
        f"samples={folder}/generations-*.tar",
        f"references={folder}/references-*.tar",
        f"run={small_disk}/run",
        *encoder,
    )
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
