"""The driver among workers that raise, die and are lost, by a script that hypothesis draws."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import ray
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ray.exceptions import ObjectLostError

from jobs.pipeline.cluster import driver as driver_module
from jobs.pipeline.cluster import shard_queue
from jobs.pipeline.cluster.driver import Driver
from jobs.pipeline.cluster.layout import Layout
from jobs.pipeline.cluster.progress import Progress
from jobs.pipeline.cluster.shard_job import Resources
from jobs.pipeline.cluster.stopping import Stop
from jobs.pipeline.cluster.worker import Place
from jobs.pipeline.errors import CommitError, Incomplete
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.reports import RowCounts, ShardReport, Timings
from jobs.pipeline.run.rows import OK, SCORES_SCHEMA
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.versions import Version
from tests.commands import rows_of
from tests.runs import open_for

SCORE, RAISE, DIE, DIE_COMMITTED = "score", "raise", "die", "die after the commit"
LOST = "what was shared is lost"
"""Unless it was shared anew since the worker began with it."""
MAX_ATTEMPTS = 3
N_SCRIPTS = int(os.environ.get("MASC_SCRIPTS", "2"))
"""Drawn ones; `make soak` draws more."""

Script = list[list[str]]
"""By shard, what happens at each attempt; after the last, it is scored."""


@ray.remote(num_cpus=0, concurrency_groups={"shards": 2, "progress": 1})  # type: ignore[call-overload]
class ScriptedWorker:
    """Commits for real, and does what the script says of each attempt at a shard."""

    def __init__(self, run: str, script: Script, seconds: float, starts: bool) -> None:
        self._run = RunDirectory(run)
        self._script = script
        self._seconds = seconds
        self._starts = starts
        self._times_shared = 0

    def load(self, load: Any, resources: Resources) -> Place:
        if not self._starts:
            os._exit(1)
        return Place(ray.get_runtime_context().get_node_id(), [], "none", os.getpid())

    def read_input(self, url: str) -> tuple[str, None]:
        name = Path(url).stem
        if name == "slow":
            _wait_for(Path(self._run.url) / "encoded-quick")
        (Path(self._run.url) / f"encoded-{name}").touch()
        return name, None

    def share(self, shared: str, stored: list[Any]) -> None:
        self._times_shared += 1
        # In one step: a worker that is not needed any more may be killed meanwhile.
        written = Path(self._run.url) / f"shared-{os.getpid()}"
        written.write_text(shared)
        written.rename(Path(self._run.url) / "shared")

    @ray.method(concurrency_group="shards")
    def process(self, shard: Shard) -> ShardReport:
        number = int(Path(shard.url).stem)
        # Attempts are counted where a death does not forget them.
        counter = Path(self._run.url) / f"attempts-{number}"
        attempt = len(counter.read_text()) if counter.exists() else 0
        with counter.open("a") as file:
            file.write(".")
        time.sleep(self._seconds)
        fate = self._script[number][attempt] if attempt < len(self._script[number]) else SCORE
        if fate == RAISE:
            raise ValueError("as the script says")
        if fate == DIE:
            os._exit(1)
        if fate == LOST and self._times_shared < 2:
            raise ObjectLostError("00" * 28, None, "")  # of before they were read again
        if fate == "disk full":
            raise CommitError("run=x", "cannot be written to: OSError: No space left on device")
        rows = [{"key": f"{number}/{i}", "shard": shard.url, "status": OK} for i in range(3)]
        table = pa.Table.from_pylist(rows, schema=SCORES_SCHEMA)
        self._run.commit(shard, table, {}, over=self._run.read_part(shard))
        if fate == DIE_COMMITTED:
            os._exit(1)
        return ShardReport(shard.id, RowCounts(ok=3), Timings(), None)

    @ray.method(concurrency_group="progress")
    def progress(self) -> dict[str, RowCounts]:
        return {}


class ScriptedJob:
    """Its workers load nothing; what they answer is joined to one text."""

    participle = "scored"
    inputs_setting = "references"

    def __init__(self, inputs: Sequence[str]) -> None:
        self.inputs = inputs
        self.load: Any = None

    def share(self, answers: Sequence[str]) -> str:
        return " ".join(answers)


def _wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)


@pytest.fixture
def joined(joined: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """And shards that fail come back at once."""
    monkeypatch.setattr(shard_queue, "FIRST_PAUSE", 0.01)


def drive(
    run: Path,
    script: Script,
    n_workers: int = 2,
    seconds: float = 0.0,
    stop: Stop | None = None,
    starts: bool = True,
    references: Sequence[str] = ("/r.tar",),
) -> Driver:
    """A driver that is about to score a shard a script."""
    directory = RunDirectory(str(run))
    open_for(directory, {}, overwrite=True)
    shards = [Shard(f"/{i}.tar", Version(1, "")) for i in range(len(script))]

    def start(layout: Layout) -> Any:
        words = str(run), script, seconds, starts
        return ScriptedWorker.remote(*words)  # type: ignore[attr-defined]

    return Driver(
        *(ScriptedJob(references), Layout(n_workers, 0, 0, 1), directory, shards, MAX_ATTEMPTS),
        [Progress(len(shards))],
        start_worker=start,
        stop=stop,
    )


fates = st.lists(st.sampled_from([RAISE, DIE, DIE_COMMITTED]), max_size=MAX_ATTEMPTS)


@settings(max_examples=N_SCRIPTS, suppress_health_check=list(HealthCheck))
@example(script=[[DIE_COMMITTED], [RAISE, DIE], [RAISE] * MAX_ATTEMPTS, []], n_workers=2)
@given(script=st.lists(fates, min_size=1, max_size=6), n_workers=st.integers(1, 3))
def test_whatever_workers_do_each_shard_is_committed_once_or_set_aside(
    script: Script, n_workers: int, joined: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = tmp_path_factory.mktemp("run")
    driver = drive(run, script, n_workers)
    driver.do_all()
    keys = Counter(row["key"] for row in rows_of(run)) if list(run.glob("scores/*")) else {}
    set_aside = {shard.url for shard in driver.set_aside}
    for number, doomed in enumerate(script):
        own = [keys.get(f"{number}/{i}", 0) for i in range(3)]
        if f"/{number}.tar" in set_aside:
            assert len(doomed) == MAX_ATTEMPTS
            assert own == [0, 0, 0] or (DIE_COMMITTED in doomed and own == [1, 1, 1])
        else:
            assert own == [1, 1, 1]


def test_a_shard_that_kills_every_worker_takes_no_other_with_it(
    joined: None, tmp_path: Path
) -> None:
    driver = drive(tmp_path / "run", [[], [DIE] * 9, [], [], [], []], n_workers=1)
    driver.do_all()
    assert [shard.url for shard in driver.set_aside] == ["/1.tar"]
    assert len(rows_of(tmp_path / "run")) == 5 * 3
    [note] = (tmp_path / "run" / "failed").iterdir()
    assert '"attempts": 3' in note.read_text()


def test_references_keep_the_order_of_their_shards_whichever_is_encoded_first(
    joined: None, tmp_path: Path
) -> None:
    drive(tmp_path, [[]], references=["/slow.tar", "/quick.tar"]).do_all()
    assert (tmp_path / "shared").read_text() == "slow quick"


def test_a_part_that_cannot_be_written_ends_the_run_at_once(joined: None, tmp_path: Path) -> None:
    driver = drive(tmp_path / "run", [["disk full"]] * 50, seconds=0.05)
    with pytest.raises(Incomplete, match=r"^run=x: cannot be written to: OSError: No"):
        driver.do_all()
    assert driver.reports == []
    assert driver.set_aside == []


def test_workers_that_never_start_end_the_run(
    joined: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "START_SECONDS", 1.0)
    monkeypatch.setattr(driver_module, "LONGEST_START_PAUSE", 0.1)
    driver = drive(tmp_path / "run", [[]], n_workers=1, starts=False)
    with pytest.raises(Incomplete, match=r"^workers do not start: "):
        driver.do_all()


def test_asked_to_end_a_driver_finishes_what_was_begun_and_begins_nothing(
    joined: None, tmp_path: Path
) -> None:
    stop = Stop(0.0)
    driver = drive(tmp_path / "run", [[] for _ in range(60)], seconds=0.2, stop=stop)
    done, heard = driver._shard_done, []

    def hear(worker: Any, report: ShardReport) -> None:
        done(worker, report)
        if not heard:
            heard.append({shard for each in driver.workers for shard in each.shards})
            stop.ask("SIGTERM", 600.0)

    driver._shard_done = hear  # type: ignore[method-assign]
    with pytest.raises(Incomplete, match=r"^SIGTERM: stopped with \d+ shards to do, 0 of them"):
        driver.do_all()
    [begun] = heard
    assert {report.shard_id for report in driver.reports[1:]} <= begun
    assert len(rows_of(tmp_path / "run")) == 3 * len(driver.reports) < 180


def test_asked_twice_a_driver_drops_what_was_begun(joined: None, tmp_path: Path) -> None:
    stop = Stop(0.0)
    driver = drive(tmp_path / "run", [[] for _ in range(4)], seconds=600.0, stop=stop)
    give = driver._give_shards

    def give_and_ask(worker: Any) -> None:
        give(worker)
        stop.ask("SIGTERM", 600.0)
        stop.ask("SIGTERM", 600.0)

    driver._give_shards = give_and_ask  # type: ignore[method-assign]
    with pytest.raises(Incomplete, match=r"stopped with 4 shards to do, [12] of them begun"):
        driver.do_all()


def test_a_worker_that_holds_what_was_lost_before_is_told_of_what_was_read_again(
    joined: None, tmp_path: Path
) -> None:
    driver = drive(tmp_path / "run", [[LOST] * 9], n_workers=1)
    driver.do_all()
    assert not driver.set_aside
    assert (tmp_path / "run" / "attempts-0").read_text() == ".."
