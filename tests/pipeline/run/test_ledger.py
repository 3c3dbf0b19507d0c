"""No sample lost, none counted twice: whatever drivers, workers and storage do, in any order.

The ledger is a run's directory and the queue of a driver. Here workers commit, crash in the middle
of writing, report late or never, drivers die and are started again while workers of the dead one
still write, and sources change under them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jobs.pipeline.cluster.shard_queue import ShardQueue
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.rows import OK, SCORES_SCHEMA
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.versions import Version

FINGERPRINT = {"encoder.weights": "sha256:0"}
SAMPLES = ("a", "b", "c")
N_SHARDS = 4
MAX_ATTEMPTS = 3


@dataclass
class Driver:
    """Its queue, and what it believes to be at work."""

    queue: ShardQueue
    at_work: set[str]


@dataclass
class Work:
    """A shard in a worker's hands."""

    shard: Shard
    driver: Driver


def table_of(shard: Shard) -> pa.Table:
    """What a worker makes of a shard: its rows say which version they were made from."""
    rows = [
        {
            "key": f"{shard.url}/{name}",
            "shard": shard.url,
            "status": OK,
            "prompt": shard.version.tag,
        }
        for name in SAMPLES
    ]
    return pa.Table.from_pylist(rows, schema=SCORES_SCHEMA)


class Ledger(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.versions = [0] * N_SHARDS
        self.now = 0.0
        self.work: list[Work] = []
        self.driver: Driver | None = None

    def shards(self) -> list[Shard]:
        return [Shard(f"/{i}.tar", Version(1, f"{v}")) for i, v in enumerate(self.versions)]

    def run_directory(self) -> RunDirectory:
        """As each process opens it for itself."""
        return RunDirectory(str(self.folder))

    # What may happen

    @precondition(lambda self: self.driver is None)
    @rule()
    def a_driver_starts(self) -> None:
        run = self.run_directory()
        run.open_for(FINGERPRINT, overwrite=False)
        to_do = run.still_to_do(self.shards(), FINGERPRINT)
        self.driver = Driver(ShardQueue(to_do, MAX_ATTEMPTS, lambda: self.now), set())

    @precondition(lambda self: self.driver is not None)
    @rule()
    def a_worker_takes_a_shard(self) -> None:
        assert self.driver is not None
        if self.driver.queue.first() is not None:
            shard = self.driver.queue.take()
            self.driver.at_work.add(shard.id)
            self.work.append(Work(shard, self.driver))

    @precondition(lambda self: self.work)
    @rule(which=st.integers(0, 99), is_heard=st.booleans())
    def a_worker_commits(self, which: int, is_heard: bool) -> None:
        work = self.work.pop(which % len(self.work))
        self.run_directory().commit(work.shard, table_of(work.shard), FINGERPRINT)
        if is_heard:
            work.driver.at_work.discard(work.shard.id)
        else:
            # It died after its commit and before its answer: a duplicate will follow.
            self._tell_of_failure(work)

    @precondition(lambda self: self.work)
    @rule(which=st.integers(0, 99), counts=st.booleans())
    def a_worker_dies_while_it_writes(self, which: int, counts: bool) -> None:
        work = self.work.pop(which % len(self.work))
        torn = self.folder / "scores" / f".{work.shard.id}.parquet.0123abcd.tmp"
        torn.write_bytes(b"PAR1 and no more")
        if counts:
            self._tell_of_failure(work)
        else:
            work.driver.at_work.discard(work.shard.id)
            work.driver.queue.put_back(work.shard)

    def _tell_of_failure(self, work: Work) -> None:
        work.driver.at_work.discard(work.shard.id)
        if not work.driver.queue.failed(work.shard):
            self.run_directory().set_aside(work.shard, MAX_ATTEMPTS, "died")

    @precondition(lambda self: self.driver is not None)
    @rule()
    def the_driver_dies(self) -> None:
        self.driver = None  # its workers may still write

    @precondition(lambda self: self.driver is not None)
    @rule()
    def the_driver_ends(self) -> None:
        """What it then says is set aside has no part, and what has one is not noted as failed."""
        assert self.driver is not None
        if len(self.driver.queue) or self.driver.at_work:
            return
        ended, self.driver = self.driver, None
        set_aside = {
            s.id for s in self.run_directory().still_to_do(ended.queue.set_aside, FINGERPRINT)
        }
        assert set_aside == {s.id for s in ended.queue.set_aside} & self.notes()

    @rule(which=st.integers(0, N_SHARDS - 1))
    def a_source_changes(self, which: int) -> None:
        self.versions[which] += 1

    @rule(seconds=st.floats(0, 10))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # What must hold

    def rows(self) -> list[dict]:
        parts = sorted((self.folder / "scores").glob("*.parquet"))
        return pads.dataset(parts).to_table().to_pylist() if parts else []

    def notes(self) -> set[str]:
        return {path.stem for path in (self.folder / "failed").glob("*.json")}

    @invariant()
    def no_sample_is_counted_twice(self) -> None:
        keys = Counter(row["key"] for row in self.rows())
        assert not keys or max(keys.values()) == 1

    @invariant()
    def every_shard_is_accounted_for(self) -> None:
        if self.driver is None:
            return
        queue = self.driver.queue
        parts = set(self.run_directory().parts())
        set_aside = {shard.id for shard in queue.set_aside}
        pending = len(queue) + len(self.driver.at_work)
        assert len(parts | set_aside) + pending >= N_SHARDS
        assert self.notes() >= set_aside - parts

    def teardown(self) -> None:
        """Called again until it is done, undisturbed, a run holds every sample once."""
        while self.work:
            self.a_worker_commits(0, True)
        self.driver = None
        for _ in range(2):
            self.a_driver_starts()
            assert self.driver is not None
            while self.driver.queue.first() is not None:
                self.a_worker_takes_a_shard()
                self.a_worker_commits(0, True)
            self.driver = None
        rows = {row["key"]: row["prompt"] for row in self.rows()}
        assert len(rows) == len(self.rows()) == N_SHARDS * len(SAMPLES)
        assert rows == {
            f"{shard.url}/{name}": shard.version.tag for shard in self.shards() for name in SAMPLES
        }
        assert not self.notes()
        shutil.rmtree(self.folder)


TestLedger = Ledger.TestCase
TestLedger.settings = settings(stateful_step_count=40)


def test_a_shard_that_was_committed_all_the_same_is_not_set_aside(tmp_path: Path) -> None:
    """Its worker died each time after the commit and before it could say so."""
    run = RunDirectory(str(tmp_path))
    done, lost = (Shard(f"/{name}.tar", Version(1, "1")) for name in ("done", "lost"))
    run.open_for(FINGERPRINT, overwrite=False)
    run.commit(done, table_of(done), FINGERPRINT)
    for shard in (done, lost):
        run.set_aside(shard, MAX_ATTEMPTS, "died")
    assert run.still_to_do([done, lost], FINGERPRINT) == [lost]
    assert [path.stem for path in (tmp_path / "failed").iterdir()] == [lost.id]
