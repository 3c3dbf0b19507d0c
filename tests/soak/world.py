"""What faults happen to: small nodes, a storage behind a proxy, and calls of the main job."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow.dataset as pads
from ray.cluster_utils import Cluster
from s3fs import S3FileSystem

from jobs.demo.world.checkpoint import write_random_checkpoint
from tests.faults.proxy import FaultyProxy
from tests.faults.s3 import client_environment, environment, s3_server, upload
from tests.shards import generation, reference, write_tar

PHOTOS = "photos"
RESULTS = "results"
NODE: dict[str, Any] = {"num_cpus": 1, "num_gpus": 1, "include_dashboard": False}
GRACE_SECONDS = 10


@dataclass(frozen=True)
class Size:
    """How much there is to do, and on how many nodes."""

    shards: int
    samples_a_shard: int
    nodes: int
    head_works: bool = True
    """Whether the head, which is never lost, has a GPU too."""


class Call:
    """A call of the main job that was begun."""

    def __init__(self, words: list[str], log: Path) -> None:
        """Begin it; what it says goes to `log`."""
        self.log = log
        self.sent: int | None = None
        """The signal that was sent to it last."""
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobs.evaluate", *words],
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.sent = number
        self.process.send_signal(number)

    def said(self) -> str:
        """What it has said by now."""
        return self.log.read_text(errors="replace")

    def last_words(self) -> str:
        """Its last line."""
        return (self.said().strip().splitlines() or ["nothing"])[-1]

    def end(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()


@dataclass
class World:
    """A place in which runs are disturbed."""

    folder: Path
    fs: S3FileSystem
    """Straight to the storage, past the proxy."""
    proxy: FaultyProxy
    cluster: Cluster
    checkpoint: Path
    sources: list[str]
    """Paths of the generation shards on `fs`."""
    calls: list[Call] = field(default_factory=list)
    """All that were begun."""

    def call(self, run: str) -> Call:
        """Begin a call of the main job over all shards, into the run of this name."""
        words = [
            f"samples=s3://{PHOTOS}/generations-*.tar",
            f"references=s3://{PHOTOS}/references-*.tar",
            f"run=s3://{RESULTS}/{run}",
            f"encoder.name_or_path={self.checkpoint}",
            "encoder.max_num_patches=64",
            "workers.cpus=1",
            "workers.batch_size=4",
            f"limits.grace_seconds={GRACE_SECONDS}",
            f"ray.address={self.cluster.address}",
        ]
        call = Call(words, self.folder / f"{run}-call-{len(self.calls):03d}.log")
        self.calls.append(call)
        return call

    def rows(self, run: str) -> list[dict[str, Any]]:
        """The rows of all parts of a run."""
        return pads.dataset(f"{RESULTS}/{run}/scores", filesystem=self.fs).to_table().to_pylist()

    def parts(self, run: str) -> set[str]:
        """Names and versions of the parts that a run has by now."""
        listed = self.fs.glob(f"{RESULTS}/{run}/scores/*", detail=True)
        return {f"{path} {info['LastModified']}" for path, info in listed.items()}

    def set_aside(self, run: str) -> list[str]:
        """The notes of shards that were given up on."""
        return self.fs.glob(f"{RESULTS}/{run}/failed/*")

    def workers(self) -> list[psutil.Process]:
        """The worker processes of the cluster, longest-lived first; none of any other cluster."""
        found: list[psutil.Process] = []
        for node in self.cluster.list_all_nodes():
            for each in node.all_processes["raylet"]:
                found += _workers_under(each.process.pid)
        return sorted(found, key=lambda process: process.pid)


def _workers_under(raylet: int) -> Iterator[psutil.Process]:
    try:
        children = psutil.Process(raylet).children(recursive=True)
    except psutil.NoSuchProcess:
        return
    for process in children:
        try:
            if " ".join(process.cmdline()).startswith("ray::Worker"):
                yield process
        except psutil.Error:  # it ended meanwhile
            continue


@contextmanager
def world(folder: Path, size: Size, seed: int) -> Iterator[World]:
    """Make shards and an encoder, and start the storage, the proxy and the nodes."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "tiny-naflex"
    write_random_checkpoint(checkpoint, naflex=True, hidden_size=32, layers=1, heads=2)
    with ExitStack() as stack:
        server = stack.enter_context(s3_server())
        proxy = stack.enter_context(FaultyProxy(server.port, seed))
        # Before the nodes: their workers inherit it.
        stack.enter_context(environment(client_environment(proxy.url)))
        head = NODE if size.head_works else {**NODE, "num_gpus": 0}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        stack.callback(cluster.shutdown)
        for _ in range(size.nodes - 1):
            cluster.add_node(**NODE)
        cluster.wait_for_nodes()
        fs = server.filesystem()
        _write_shards(folder / "shards", size)
        upload(fs, folder / "shards", PHOTOS)
        fs.makedirs(RESULTS, exist_ok=True)
        sources = sorted(fs.glob(f"{PHOTOS}/generations-*.tar"))
        made = World(folder, fs, proxy, cluster, checkpoint, sources)
        try:
            yield made
        finally:
            for call in made.calls:
                call.end()


def _write_shards(folder: Path, size: Size) -> None:
    """Two concepts with two references each, a shard a concept; small images of two shapes."""
    for concept in ("cat", "dog"):
        members = [
            member
            for i in range(2)
            for member in reference(f"{concept}/{i}", i, concept=concept, subject=concept)
        ]
        write_tar(folder / f"references-{concept}.tar", members)
    for shard in range(size.shards):
        members = []
        for i in range(size.samples_a_shard):
            concept = ("cat", "dog")[i // 2 % 2]
            members += generation(
                f"{shard:03d}/{i:03d}",
                shard * size.samples_a_shard + i,
                size=[(64, 64), (96, 64)][i % 2],
                concept=concept,
                subject=concept,
                prompt=f"a photo of a {concept} on a beach",
                model=("alpha", "beta")[shard % 2],
            )
        write_tar(folder / f"generations-{shard:06d}.tar", members)
