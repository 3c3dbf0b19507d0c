"""A whole run of a shard job that knows nothing of images, on a real cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline.cluster import shard_queue
from jobs.pipeline.cluster.config import LimitsConfig, RayConfig, WorkersConfig
from jobs.pipeline.cluster.joining import joined_cluster
from jobs.pipeline.cluster.kept_workers import workers_kept
from jobs.pipeline.cluster.running import Outcome, run_shard_job
from jobs.pipeline.cluster.stopping import Stop
from jobs.pipeline.errors import CallError, Incomplete
from jobs.pipeline.run.directory import RunDirectory
from tests.commands import description_of
from tests.pipeline.cluster.line_counting import POISON, LineCounting

NOWHERE = "127.0.0.1:1"
"""A call that gets as far as joining this fails."""


def write(folder: Path, **texts: str) -> list[Path]:
    """Text files, by name."""
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    return [folder / f"{name}.txt" for name in texts]


def count(
    folder: Path,
    shards: list[Path],
    address: str,
    start: str = "a",
    workers: WorkersConfig | None = None,
) -> Outcome[int]:
    """Count the lines that begin with `start`, in the run `folder / "run"`."""
    run = str(folder / "run")
    return run_shard_job(
        LineCounting(run, shards, write(folder, start=start)),
        RunDirectory(run),
        workers or WorkersConfig(count=1),
        RayConfig(address),
        LimitsConfig(max_shard_attempts=2),
    )


def test_a_run_goes_on_where_it_stopped_and_starts_no_ray_for_nothing_or_what_is_refused(
    cluster_address: str, tmp_path: Path
) -> None:
    one, two, three = write(tmp_path, one="ab\nb\na\n", two="a\n", three="")
    assert count(tmp_path, [one, two], cluster_address) == Outcome(3, 0)
    described = description_of(tmp_path / "run")
    assert described["state"] == "done"
    assert described["counts"] == {"lines": 3}
    assert described["n_shards_scored"] == 2
    [worker] = described["workers"]
    assert (worker["device"], worker["shards"], worker["samples"]) == ("none", 2, 3)
    assert worker["device_name"] == "none"

    assert count(tmp_path, [one, two], NOWHERE) == Outcome(3, 0)
    assert description_of(tmp_path / "run") == described

    with pytest.raises(CallError, match="starts is 'b', there 'a'"):
        count(tmp_path, [one, two], NOWHERE, start="b")
    assert description_of(tmp_path / "run") == described

    [two] = write(tmp_path, two="a\na\na\n")
    assert count(tmp_path, [one, two, three], cluster_address) == Outcome(5, 0)
    assert description_of(tmp_path / "run")["n_shards_scored"] == 2
    assert not (tmp_path / "run" / "driver.json").exists()


def test_a_shard_that_always_fails_is_set_aside_until_the_next_call(
    cluster_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_queue, "FIRST_PAUSE", 0.01)
    good, bad = write(tmp_path, good="a\na\n", bad=f"a\n{POISON}\n")
    assert count(tmp_path, [good, bad], cluster_address) == Outcome(2, 1)
    described = description_of(tmp_path / "run")
    assert (described["state"], described["n_shards_set_aside"]) == ("incomplete", 1)
    [note] = (tmp_path / "run" / "failed").iterdir()
    assert '"attempts": 2' in note.read_text()
    assert "ValueError: as it says" in note.read_text()

    [bad] = write(tmp_path, bad="a\n")
    assert count(tmp_path, [good, bad], cluster_address) == Outcome(3, 0)
    assert list((tmp_path / "run" / "failed").iterdir()) == []
    assert description_of(tmp_path / "run")["state"] == "done"


@pytest.mark.services
def test_what_a_ray_of_our_own_can_never_give_ends_the_call_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    shards = write(tmp_path, one="a\n")
    with pytest.raises(CallError, match=r"^workers\.cpus=4096: no node has as much for a worker;"):
        count(tmp_path, shards, "local", workers=WorkersConfig(cpus=4096))
    assert description_of(tmp_path / "run")["state"] == "stopped"


def test_a_worker_outlasts_its_job_unless_it_failed_or_the_next_asks_for_another_size(
    cluster_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_queue, "FIRST_PAUSE", 0.01)
    pids = []
    with joined_cluster(cluster_address, Stop(0.0)), workers_kept():
        for name, text, cpus in (
            ("first", "a", 2),
            ("second", "a", 2),
            ("with poison", f"a\n{POISON}", 2),
            ("after it", "a", 2),
            ("smaller", "a", 1),
        ):
            folder = tmp_path / name
            folder.mkdir()
            shards = write(folder, good="a\n", other=text)
            count(folder, shards, NOWHERE, workers=WorkersConfig(count=1, cpus=cpus))
            [worker] = description_of(folder / "run")["workers"]
            pids.append(worker["pid"])
    one, two, three = pids[0], pids[3], pids[4]
    assert pids == [one, one, one, two, three]
    assert len({one, two, three}) == 3


class Learning(LineCounting):
    """Knows of its inputs what they hold only once they are read."""

    learnt: Sequence[str] | None = None

    def share(self, answers: Sequence[str]) -> int:
        self.learnt = list(answers)
        return super().share(answers)

    def described(self) -> Mapping[str, Any]:
        return {**super().described(), "learnt": self.learnt}


def test_a_run_of_which_nothing_can_be_done_is_incomplete_and_its_record_says_what_was_known(
    cluster_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_queue, "FIRST_PAUSE", 0.01)
    run = str(tmp_path / "run")
    task = Learning(run, write(tmp_path, bad=POISON), write(tmp_path, start="a"))
    with pytest.raises(Incomplete, match="no shard could be counted"):
        run_shard_job(
            task,
            RunDirectory(run),
            WorkersConfig(count=1),
            RayConfig(cluster_address),
            LimitsConfig(max_shard_attempts=1),
        )
    described = description_of(tmp_path / "run")
    assert (described["state"], described["learnt"]) == ("stopped", ["read"])
