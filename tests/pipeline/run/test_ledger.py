"""No sample lost, none counted twice, no column dropped: whatever drivers, workers and storage do,
in any order.

The ledger is a run's directory and the queue of a driver. Here workers commit, crash in the middle
of writing, report late or never, drivers die and are started again, asking for other columns, while
workers of the dead one still write, and sources change under them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jobs.pipeline.cluster.shard_queue import ShardQueue
from jobs.pipeline.errors import StorageError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.parts import StoredPart
from jobs.pipeline.run.rows import OK, SCORES_SCHEMA
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.scoring.commit import Made, commit
from jobs.pipeline.scoring.gains import Computed, stands, wanted_of
from jobs.pipeline.scoring.remaining import remaining
from jobs.pipeline.storage.versions import Version
from tests.runs import open_for, still_to_do

GROUPS = {"masc": {"encoder.weights": "sha256:0"}}
COMPARATORS = ("clip_i", "dreamsim")
SAMPLES = ("a", "b", "c")
N_SHARDS = 4
MAX_ATTEMPTS = 3


@dataclass
class Driver:
    """Its queue, what it believes to be at work, and the comparators that it was asked for."""

    queue: ShardQueue
    at_work: set[str]
    comparators: tuple[str, ...]


@dataclass
class Work:
    """A shard in a worker's hands, with the part that it had when the worker began."""

    shard: Shard
    driver: Driver
    part: StoredPart | None


def groups_of(comparators: tuple[str, ...]) -> dict[str, dict[str, str]]:
    return {**GROUPS, **{name: {"weights": name} for name in comparators}}


def asked(comparators: tuple[str, ...]) -> dict[str, frozenset[str]]:
    own = {name: frozenset([name]) for name in comparators}
    return {"masc": frozenset(["cp", "pf"]), **own}


def table_of(shard: Shard, comparators: tuple[str, ...] = ()) -> pa.Table:
    """What a worker makes of a shard: its rows say which version they were made from."""
    rows = [
        {
            "key": f"{shard.url}/{name}",
            "shard": shard.url,
            "status": OK,
            "prompt": shard.version.tag,
            "cp": float(shard.version.tag),
            **dict.fromkeys(comparators, float(shard.version.tag)),
        }
        for name in SAMPLES
    ]
    fields = [*SCORES_SCHEMA, *(pa.field(name, pa.float64()) for name in comparators)]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def made_of(work: Work) -> Made:
    """What a worker computes: what the part that it began with lacks, or all."""
    comparators = work.driver.comparators
    whole = table_of(work.shard, comparators)
    names = ["cp", "pf", *comparators]
    is_gain = stands(work.part, work.shard, {})
    if is_gain:
        assert work.part is not None
        wanted = wanted_of(work.part.table, [["cp", "pf"], *([name] for name in comparators)])
        assert 0 not in wanted.numbers
        names = [comparators[number - 1] for number in wanted.numbers]
    rows = whole.to_pylist()
    computed = Computed(
        [whole.schema.field(name) for name in names], {row["key"]: row for row in rows}, {}
    )
    return Made(computed, groups_of(comparators), {}, rows, None if is_gain else whole)


class Ledger(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.versions = [0] * N_SHARDS
        self.now = 0.0
        self.work: list[Work] = []
        self.driver: Driver | None = None
        self.left: set[str] = set()
        """The shards that the driver has to leave, since it does not compute all that they had."""

    def shards(self) -> list[Shard]:
        return [Shard(f"/{i}.tar", Version(1, f"{v}")) for i, v in enumerate(self.versions)]

    def run_directory(self) -> RunDirectory:
        """As each process opens it for itself."""
        return RunDirectory(str(self.folder))

    # What may happen

    @precondition(lambda self: self.driver is None)
    @rule(comparators=st.lists(st.sampled_from(COMPARATORS), unique=True).map(tuple))
    def a_driver_starts(self, comparators: tuple[str, ...]) -> None:
        run = self.run_directory()
        open_for(run, groups_of(comparators), overwrite=False)
        to_do, self.left = self.still_to_do(comparators)
        queue = ShardQueue(to_do, MAX_ATTEMPTS, lambda: self.now)
        self.driver = Driver(queue, set(), comparators)

    def still_to_do(self, comparators: tuple[str, ...]) -> tuple[list[Shard], set[str]]:
        """The shards to do, and the ids of those that are left as they are."""
        run, shards = self.run_directory(), self.shards()
        found = remaining(shards, run.states(), asked(comparators), {})
        left = {shard.id for shard, _ in found.left}
        run.forget_failures({s.id for s in shards} - left - {s.id for s in found.shards})
        return found.shards, left

    @precondition(lambda self: self.driver is not None)
    @rule()
    def a_worker_takes_a_shard(self) -> None:
        assert self.driver is not None
        if self.driver.queue.first() is not None:
            shard = self.driver.queue.take()
            self.driver.at_work.add(shard.id)
            self.work.append(Work(shard, self.driver, self.run_directory().read_part(shard)))

    @precondition(lambda self: self.work)
    @rule(which=st.integers(0, 99), is_heard=st.booleans())
    def a_worker_commits(self, which: int, is_heard: bool) -> None:
        work = self.work.pop(which % len(self.work))
        before = self.columns(work.shard)
        try:
            commit(self.run_directory(), work.shard, work.part, made_of(work), {})
        except StorageError:
            # Its part has become another's since: there is nothing to join.
            self._tell_of_failure(work)
            return
        after = self.columns(work.shard)
        assert after is not None
        assert after >= {"cp", *work.driver.comparators} | (before or set())
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
        to_do, left = self.still_to_do(ended.comparators)
        undone = {shard.id for shard in to_do} | left
        assert {s.id for s in ended.queue.set_aside} & undone == (
            {s.id for s in ended.queue.set_aside} & self.notes()
        )

    @rule(which=st.integers(0, N_SHARDS - 1))
    def a_source_changes(self, which: int) -> None:
        self.versions[which] += 1

    @rule(seconds=st.floats(0, 10))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # What must hold

    def columns(self, shard: Shard) -> set[str] | None:
        """Of the part, where it is of this version of the shard."""
        part = self.run_directory().read_part(shard)
        if part is None or part.table is None or part.footer.source != shard.source:
            return None
        names = {"cp", *COMPARATORS} & set(part.table.schema.names)
        assert {"cp" if group == "masc" else group for group in part.footer.groups} == names
        return names

    def rows(self) -> list[dict]:
        parts = sorted((self.folder / "scores").glob("*.parquet"))
        # Parts of one run may have different columns.
        return [row for part in parts for row in pads.dataset(part).to_table().to_pylist()]

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
        assert len(parts | set_aside | self.left) + pending >= N_SHARDS
        assert self.notes() >= set_aside - parts

    def teardown(self) -> None:
        """Called again until it is done, undisturbed, a run holds every sample once."""
        while self.work:
            self.a_worker_commits(0, True)
        self.driver = None
        for _ in range(2):
            self.a_driver_starts(COMPARATORS)
            assert self.driver is not None
            while self.driver.queue.first() is not None:
                self.a_worker_takes_a_shard()
                self.a_worker_commits(0, True)
            self.driver = None
        assert all(row[n] == float(row["prompt"]) for row in self.rows() for n in COMPARATORS)
        rows = {row["key"]: row["prompt"] for row in self.rows()}
        assert len(rows) == len(self.rows()) == N_SHARDS * len(SAMPLES)
        assert rows == {
            f"{shard.url}/{name}": shard.version.tag for shard in self.shards() for name in SAMPLES
        }
        assert not self.notes()
        shutil.rmtree(self.folder)


TestLedger = pytest.mark.slow(Ledger.TestCase)
# Long ones, and so fewer than of others; `make soak` has thirty times as many.
TestLedger.settings = settings(stateful_step_count=40, max_examples=settings().max_examples // 2)


def test_a_shard_that_was_committed_all_the_same_is_not_set_aside(tmp_path: Path) -> None:
    """Its worker died each time after the commit and before it could say so."""
    run = RunDirectory(str(tmp_path))
    done, lost = (Shard(f"/{name}.tar", Version(1, "1")) for name in ("done", "lost"))
    open_for(run, GROUPS, overwrite=False)
    run.commit(done, table_of(done), GROUPS)
    for shard in (done, lost):
        run.set_aside(shard, MAX_ATTEMPTS, "died")
    assert still_to_do(run, [done, lost], GROUPS) == [lost]
    assert [path.stem for path in (tmp_path / "failed").iterdir()] == [lost.id]
