"""Shards and RUN in buckets: a real S3 server, and a proxy before it that puts faults in."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pyarrow.dataset as pads
import pytest
import ray
from PIL import Image
from ray.cluster_utils import Cluster
from s3fs import S3FileSystem

from jobs.pipeline.cluster.kept_workers import workers_kept
from tests.commands import Run, here, rows_of
from tests.faults.proxy import Fault, FaultyProxy, Rule
from tests.faults.s3 import (
    KEY_ID,
    SECRET,
    S3Server,
    client_environment,
    environment,
    s3_server,
    upload,
)
from tests.jobs.test_evaluate import write_good_shards
from tests.masc_core.segmenters.checkpoints import write_clipseg
from tests.pictures import painted
from tests.pipeline.segmenting.conftest import SmallSegmenter, unmasked
from tests.shards import write_tar

pytestmark = pytest.mark.services

N_SHARDS = 4
N_SAMPLES = 6

# Numbers that do not depend on where a run happens: the same batches, the same threads.
LAYOUT = ("workers.count=1", "workers.cpus=1", "workers.batch_size=3")

BEYOND_THE_LIBRARIES = 12
"""So many failures in a row outlast botocore's two attempts in each of s3fs's five."""


@dataclass(frozen=True)
class Buckets:
    """Two buckets of a test: `photos` holds shards, `results` is for the run."""

    fs: S3FileSystem
    proxy: FaultyProxy
    photos: str
    results: str
    encoder: Path

    @property
    def run(self) -> str:
        return f"{self.results}/run"

    def call(self, *words: str) -> list[str]:
        """The words of the main job on these buckets."""
        return [
            f"samples=s3://{self.photos}/generations-*.tar",
            f"references=s3://{self.photos}/references-*.tar",
            f"run=s3://{self.run}",
            f"encoder.name_or_path={self.encoder}",
            "encoder.max_num_patches=64",
            *LAYOUT,
            *words,
        ]

    def command(self, name: str, *words: str) -> Run:
        """A command that reaches the storage through the proxy; it never says what is secret."""
        run = here(name, *words)
        self.assert_nothing_secret_in(run.stdout + run.stderr)
        return run

    def evaluate(self, *words: str) -> Run:
        return self.command("evaluate", *self.call(*words))

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the run in their order by key, without where their shards lie."""
        scores = pads.dataset(f"{self.run}/scores", filesystem=self.fs).to_table()
        return without_place(scores.to_pylist())

    def parts(self) -> dict[str, tuple[str, str]]:
        """ETag and time of each committed part."""
        listed = self.fs.glob(f"{self.run}/scores/*", detail=True)
        return {
            path.rpartition("/")[2]: (info["ETag"], str(info["LastModified"]))
            for path, info in listed.items()
        }

    def read(self, name: str) -> dict[str, Any]:
        return json.loads(self.fs.cat_file(f"{self.run}/{name}"))

    def assert_nothing_secret_in_the_run(self) -> None:
        for path in self.fs.find(self.run):
            self.assert_nothing_secret_in(self.fs.cat_file(path).decode(errors="replace"))
        self.assert_nothing_secret_in(str(self.rows()))

    def assert_nothing_secret_in(self, text: str) -> None:
        assert SECRET not in text
        assert KEY_ID not in text


def without_place(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    stripped = [{name: row[name] for name in row if name != "shard"} for row in rows]
    return sorted(stripped, key=lambda row: row["key"])


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(server: S3Server) -> Iterator[FaultyProxy]:
    """What commands take for the storage, while these tests last."""
    with FaultyProxy(server.port) as proxy, environment(client_environment(proxy.url)):
        yield proxy


@pytest.fixture(scope="module")
def joined(proxy: FaultyProxy) -> Iterator[None]:
    """A cluster whose worker reaches the storage through the proxy. This process is on it, and
    the worker outlasts a command."""
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    ray.init(cluster.address, logging_level="ERROR")
    with workers_kept():
        yield
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write_good_shards(folder, N_SHARDS, N_SAMPLES)
    return folder


@pytest.fixture(scope="module")
def local_rows(shards: Path, joined: None, naflex_checkpoint: Path) -> list[dict[str, Any]]:
    """What an undisturbed run over local files gives."""
    run = here(
        "evaluate",
        f"samples={shards}/generations-*.tar",
        f"references={shards}/references-*.tar",
        f"run={shards}/run",
        f"encoder.name_or_path={naflex_checkpoint}",
        "encoder.max_num_patches=64",
        *LAYOUT,
    )
    assert run.returncode == 0, run.stderr
    rows = rows_of(shards / "run")
    assert len(rows) == N_SHARDS * N_SAMPLES
    return without_place(rows)


numbers = count()


@pytest.fixture
def buckets(
    server: S3Server, proxy: FaultyProxy, joined: None, shards: Path, naflex_checkpoint: Path
) -> Buckets:
    """Buckets of this test alone, and no faults yet."""
    fs, number = server.filesystem(), next(numbers)
    photos, results = f"photos-{number}", f"results-{number}"
    upload(fs, shards, photos)
    fs.mkdir(results)
    proxy.clear()
    proxy.injected.clear()
    return Buckets(fs, proxy, photos, results, naflex_checkpoint)


def test_a_run_in_buckets_gives_the_rows_of_a_local_one_and_goes_on_where_it_stopped(
    buckets: Buckets, local_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    first = buckets.evaluate()
    assert first.returncode == 0, first.stderr
    assert f"{N_SHARDS * N_SAMPLES} samples: {N_SHARDS * N_SAMPLES} ok" in first.stderr
    assert buckets.rows() == local_rows
    assert buckets.read("run.json")["state"] == "done"
    buckets.assert_nothing_secret_in_the_run()

    # Again, with one part gone and one shard changed: these two alone are scored.
    before = buckets.parts()
    assert len(before) == N_SHARDS
    gone, changed, *kept = sorted(before)
    buckets.fs.rm(f"{buckets.run}/scores/{gone}")
    # Made up as those before it: a prompt's neighbours in a batch move the last bit of its scores.
    write_good_shards(tmp_path, N_SHARDS + 1, N_SAMPLES)
    other = (tmp_path / f"generations-{N_SHARDS:06d}.tar").read_bytes()
    buckets.fs.pipe_file(f"{buckets.photos}/generations-000001.tar", other)
    again = buckets.evaluate()
    assert again.returncode == 0, again.stderr
    assert f"{N_SHARDS} shards, {len(kept)} of them scored before" in again.stderr
    after = buckets.parts()
    assert after.keys() == before.keys()
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert after[gone] != before[gone]
    assert after[changed] != before[changed]
    stay = [row for row in local_rows if not row["key"].startswith("s1/")]
    assert [row for row in buckets.rows() if not row["key"].startswith(f"s{N_SHARDS}/")] == stay

    reduced = buckets.command("reduce", f"run=s3://{buckets.run}", "--json")
    assert reduced.returncode == 0, reduced.stderr
    document = json.loads(reduced.stdout)
    assert document["counts"]["n_ok"] == N_SHARDS * N_SAMPLES
    assert buckets.read("summary/summary.json") == document


def test_a_storage_that_fails_and_comes_back_costs_no_sample(
    buckets: Buckets, local_rows: list[dict[str, Any]]
) -> None:
    """Each shard has its own trouble when it is read, and each part when it is written."""
    shard, part = f"/{buckets.photos}/generations-00000", f"/{buckets.run}/scores/generations-00000"
    buckets.proxy.add(
        Rule(Fault.SLOW_DOWN, "GET", f"{shard}0", count=BEYOND_THE_LIBRARIES),
        Rule(Fault.CUT, "GET", f"{shard}1", count=BEYOND_THE_LIBRARIES),
        Rule(Fault.HANG, "GET", f"{shard}2", count=2),
        Rule(Fault.SHORT, "GET", f"{shard}3", count=2),
        Rule(Fault.CUT, "GET", "/references-", count=2),
        Rule(Fault.SLOW_DOWN, "PUT", f"{part}0", count=BEYOND_THE_LIBRARIES),
        Rule(Fault.CUT, "PUT", f"{part}1", count=BEYOND_THE_LIBRARIES),
        Rule(Fault.HANG, "PUT", f"{part}2", count=1),
        Rule(Fault.UNANSWERED, "PUT", f"{part}3", count=1),
        Rule(Fault.SLOW_DOWN, "PUT", f"{buckets.run}/run.json", count=1),
        Rule(Fault.SLOW_DOWN, "HEAD", shard, count=2),
    )
    run = buckets.evaluate()
    assert run.returncode == 0, run.stderr
    assert f"{N_SHARDS * N_SAMPLES} samples: {N_SHARDS * N_SAMPLES} ok" in run.stderr
    assert buckets.rows() == local_rows
    assert len(buckets.parts()) == N_SHARDS
    assert not buckets.fs.exists(f"{buckets.run}/failed")
    # None of it was spared.
    assert buckets.proxy.injected == {
        Fault.SLOW_DOWN: 2 * BEYOND_THE_LIBRARIES + 3,
        Fault.CUT: 2 * BEYOND_THE_LIBRARIES + 2,
        Fault.HANG: 3,
        Fault.SHORT: 2,
        Fault.UNANSWERED: 1,
    }


def test_masks_are_made_in_a_bucket_that_fails_and_comes_back(
    buckets: Buckets, tmp_path: Path
) -> None:
    name = "raw-000000.tar"
    samples = [unmasked(f"{i}", i) for i in range(N_SAMPLES)]
    local = write_tar(tmp_path / name, [member for each in samples for member in each])
    buckets.fs.pipe_file(f"{buckets.photos}/{name}", local.read_bytes())
    quiet = SmallSegmenter(tmp_path, write_clipseg(tmp_path / "clipseg"), batch_size=3)
    masked = quiet.process(local).path.read_bytes()
    out = f"{buckets.results}/masked"
    buckets.proxy.add(
        Rule(Fault.SLOW_DOWN, "GET", f"/{buckets.photos}/{name}", count=BEYOND_THE_LIBRARIES),
        Rule(Fault.SLOW_DOWN, "PUT", f"/{out}/{name}", count=BEYOND_THE_LIBRARIES),
        Rule(Fault.SLOW_DOWN, "PUT", f"/{out}/segmented/", count=BEYOND_THE_LIBRARIES),
        Rule(Fault.UNANSWERED, "PUT", f"/{out}/segmented/", count=1),
    )
    call = (
        *(f"samples=s3://{buckets.photos}/{name}", f"out=s3://{out}", "segmenter.name=clipseg"),
        f"segmenter.name_or_path={quiet.checkpoint}",
        *LAYOUT,
    )
    done = buckets.command("segment", *call)
    assert done.returncode == 0, done.stderr
    assert buckets.fs.cat_file(f"{out}/{name}") == masked
    assert buckets.proxy.injected[Fault.SLOW_DOWN] == 3 * BEYOND_THE_LIBRARIES
    [said] = buckets.fs.glob(f"{out}/segmented/*.json")
    before = buckets.fs.info(said)["LastModified"]
    again = buckets.command("segment", *call)
    assert again.returncode == 0, again.stderr
    assert "1 shards, 1 of them segmented before" in again.stderr
    assert buckets.fs.info(said)["LastModified"] == before


def test_credentials_that_expire_at_the_commit_end_the_run_until_there_are_others(
    buckets: Buckets, local_rows: list[dict[str, Any]]
) -> None:
    buckets.proxy.add(Rule(Fault.EXPIRED, "PUT", f"/{buckets.run}/scores/"))
    with from_now_on_expired(buckets.proxy):
        run = buckets.evaluate()
    assert run.returncode == 3, run.stderr
    said = run.stderr
    lines = [line for line in said.splitlines() if "cannot be written to" in line]
    assert len(lines) == 1, said
    assert f"run=s3://{buckets.run}: cannot be written to: " in lines[0]
    assert "expired" in lines[0]
    assert "the same call goes on" in lines[0]
    assert "Traceback" not in said
    buckets.assert_nothing_secret_in(said)
    assert buckets.parts() == {}
    assert not buckets.fs.exists(f"{buckets.run}/failed")

    buckets.proxy.clear()
    goes_on = buckets.evaluate()
    assert goes_on.returncode == 0, goes_on.stderr
    assert buckets.rows() == local_rows
    buckets.assert_nothing_secret_in_the_run()


@contextmanager
def from_now_on_expired(proxy: FaultyProxy) -> Iterator[None]:
    """Once credentials have been refused they are good for nothing."""
    is_over = Event()

    def refuse_all() -> None:
        while not proxy.injected[Fault.EXPIRED]:
            if is_over.wait(0.02):
                return
        proxy.add(Rule(Fault.EXPIRED))

    thread = Thread(target=refuse_all)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("samples=s3://no-such-bucket/*.tar", r"samples=s3://no-such-bucket/\*.tar: "),
        ("samples=s3://{photos}/none.tar", "samples=s3://{photos}/none.tar: no such file"),
        ("run=s3://no-such-bucket/run", "run=s3://no-such-bucket/run: cannot be written to: "),
        ("samples=s3://me:hush@{photos}/*.tar", r"s3://{photos}/\*.tar: URLs of s3 hold no user"),
        ("samples={endpoint}/{photos}/none.tar?X-Amz-Signature=hush", "/none.tar: "),
    ],
)
def test_a_wrong_place_is_one_line_before_anything_starts(
    buckets: Buckets, word: str, message: str
) -> None:
    places = {"photos": buckets.photos, "endpoint": buckets.proxy.url}
    run = buckets.evaluate(word.format(**places))
    assert_refused(run, message.format(**places))
    assert "hush" not in run.stderr
    assert not buckets.fs.exists("no-such-bucket")


def test_credentials_that_nobody_knows_are_one_line_before_anything_starts(
    buckets: Buckets,
) -> None:
    buckets.proxy.add(Rule(Fault.UNKNOWN_KEY))
    run = buckets.evaluate()
    assert_refused(run, rf"samples=s3://{buckets.photos}/generations-\*\.tar: cannot be listed: ")


def assert_refused(run: Run, message: str) -> None:
    assert run.returncode == 1
    assert run.stdout == ""
    lines = [line for line in run.stderr.splitlines() if " INFO " not in line]
    assert len(lines) == 1, run.stderr
    assert re.match(f"jobs.evaluate: .*{message}", lines[0]), lines[0]


def test_shards_are_packed_into_a_bucket_as_into_a_folder(buckets: Buckets, tmp_path: Path) -> None:
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "mask", "model", "concept", "prompt"])
        for i in range(3):
            image, mask = painted((64, 64), i)
            image.save(tmp_path / f"{i}.png")
            Image.fromarray(mask).save(tmp_path / f"{i}.mask.png")
            writer.writerow([f"{i}.png", f"{i}.mask.png", "m", "cat", "a cat on a beach"])
    words = (f"manifest={tmp_path}/manifest.csv", "shard_size=2")
    out = f"{buckets.results}/shards"
    packed = buckets.command("pack", *words, f"out=s3://{out}")
    assert packed.returncode == 0, packed.stderr
    assert packed.stdout == f"s3://{out}\n"
    local = here("pack", *words, f"out={tmp_path}/shards")
    assert local.returncode == 0, local.stderr
    in_folder = {path.name: path.read_bytes() for path in (tmp_path / "shards").iterdir()}
    assert len(in_folder) == 2
    in_bucket = {path.rpartition("/")[2]: buckets.fs.cat_file(path) for path in buckets.fs.ls(out)}
    assert in_bucket == in_folder
    refused = buckets.command("pack", *words, f"out=s3://{out}")
    assert refused.returncode == 1
    assert "holds shards; overwrite=true replaces them" in refused.stderr
