"""Segmenting as a task: what is left, what is refused, what all shards come to; without Ray."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline.cluster.running import Outcome
from jobs.pipeline.cluster.shard_job import Resources
from jobs.pipeline.command.exit_status import EXIT_DONE, EXIT_INCOMPLETE, EXIT_TOO_MANY_ERRORS
from jobs.pipeline.errors import CallError, Incomplete
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.segmenting.config import SegmenterConfig
from jobs.pipeline.segmenting_task import (
    SegmentConfig,
    SegmentedTotal,
    Segmenting,
    SegmentLimitsConfig,
    check,
)
from jobs.segment import verdict
from tests.masc_core.segmenters.checkpoints import write_clipseg
from tests.pipeline.segmenting.conftest import unmasked
from tests.shards import generation, write_tar

Configure = Callable[..., SegmentConfig]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clipseg(tmp_path_factory.mktemp("clipseg"))


@pytest.fixture
def configure(tmp_path: Path, checkpoint: Path) -> Configure:
    """Of two shards of three samples, one of which has a mask."""
    write_tar(tmp_path / "shards" / "a.tar", [*unmasked("a", 1), *unmasked("b", 2)])
    write_tar(tmp_path / "shards" / "b.tar", generation("c", 3))

    def make(segmenter: dict[str, Any] | None = None, **settings: Any) -> SegmentConfig:
        own = {"name": "clipseg", "name_or_path": str(checkpoint), **(segmenter or {})}
        plain = {"samples": [f"{tmp_path}/shards/*.tar"], "out": f"{tmp_path}/out"}
        return SegmentConfig(**{**plain, **settings}, segmenter=SegmenterConfig(**own))

    return make


def run_here(config: SegmentConfig) -> tuple[list[str], SegmentedTotal]:
    """Do what is to do in this process; the names of the shards that were done, and the total."""
    task, run = Segmenting(config), RunDirectory(config.out)
    to_do = task.begin(run)
    if to_do:
        processor = task.load(Resources(threads=1, batch_size=2))
        for shard in to_do:
            processor.process(shard)
    assert task.still_to_do(run, task.shards) == []
    return [Path(shard.url).name for shard in to_do], task.finish(run, is_on_cluster=False)


def test_what_is_done_is_not_done_again_and_what_changed_is(
    configure: Configure, tmp_path: Path
) -> None:
    done, total = run_here(configure())
    assert done == ["a.tar", "b.tar"]
    assert (total.n, total.n_segmented, total.n_kept, total.n_error) == (3, 2, 1, 0)
    assert sum(total.coverage_histogram) == 2
    assert run_here(configure()) == ([], total)

    write_tar(tmp_path / "shards" / "b.tar", unmasked("c", 4))
    assert run_here(configure())[0] == ["b.tar"]
    (tmp_path / "out" / "a.tar").unlink()
    assert run_here(configure())[0] == ["a.tar"]
    (tmp_path / "out" / "a.tar").write_bytes(b"of somebody else")
    assert run_here(configure())[0] == ["a.tar"]
    for commit in (tmp_path / "out" / "segmented").iterdir():
        commit.write_text("{")
    before = (tmp_path / "out" / "a.tar").stat().st_mtime_ns
    assert run_here(configure())[0] == ["a.tar", "b.tar"]
    assert (tmp_path / "out" / "a.tar").stat().st_mtime_ns == before


def test_another_configuration_is_refused_by_its_keys_and_overwrite_starts_anew(
    configure: Configure,
) -> None:
    run_here(configure())
    other = {"mask_threshold": 0.25}
    with pytest.raises(CallError, match=r"segmenter\.mask_threshold is 0\.25, there 0\.5\. Name"):
        run_here(configure(other))
    with pytest.raises(CallError, match=r"member is 'other', there 'given'"):
        run_here(configure(member="other"))
    assert run_here(configure(other, overwrite=True))[0] == ["a.tar", "b.tar"]
    assert run_here(configure(other))[0] == []


def test_two_shards_of_one_name_are_refused(configure: Configure, tmp_path: Path) -> None:
    write_tar(tmp_path / "more" / "a.tar", unmasked("a", 1))
    samples = [f"{tmp_path}/shards/*.tar", f"{tmp_path}/more/a.tar"]
    with pytest.raises(CallError, match=r"more/a\.tar: has the file name of .*shards/a\.tar"):
        Segmenting(configure(samples=samples))


def test_an_out_that_is_the_source_is_refused(configure: Configure, tmp_path: Path) -> None:
    with pytest.raises(CallError, match=r"is where .*/shards/a\.tar lies"):
        Segmenting(configure(out=f"{tmp_path}/shards"))


@pytest.mark.parametrize(
    ("segmenter", "reason"),
    [
        ({"name": "clip_seg"}, r"segmenter 'clip_seg' is not known; did you mean clipseg\?"),
        ({"box_threshold": 0.5}, "clipseg has no setting 'box_threshold'"),
        ({"dtype": "int8"}, r"segmenter\.dtype=int8: expected float32, bfloat16 or float16"),
        ({"name_or_path": "/no/such"}, "segmenter.name=clipseg: /no/such: no such directory"),
    ],
)
def test_a_wrong_segmenter_is_one_line(
    configure: Configure, segmenter: dict[str, Any], reason: str
) -> None:
    with pytest.raises(CallError, match=f"^{reason}"):
        Segmenting(configure(segmenter))


@pytest.mark.parametrize("member", ["dilate:5", "a.b", "Upper", ""])
def test_a_name_that_is_no_members_is_refused(configure: Configure, member: str) -> None:
    with pytest.raises(CallError, match=r"^member="):
        check(configure(member=member))


def test_where_nothing_could_be_done_there_is_no_total(configure: Configure) -> None:
    task = Segmenting(configure())
    with pytest.raises(Incomplete, match="no shard could be segmented"):
        task.finish(RunDirectory(configure().out), is_on_cluster=True)


def test_the_description_is_json_and_says_what_was_made(configure: Configure) -> None:
    config = configure()
    task = Segmenting(config)
    described = {**task.described(), **task.counted(run_here(config)[1])}
    again = json.loads(json.dumps(described))
    assert again["counts"]["n_segmented"] == 2
    assert again["fingerprint"]["segmenter.name"] == "clipseg"


TOTAL = SegmentedTotal(
    n=100,
    n_segmented=80,
    n_kept=15,
    n_error=5,
    n_empty=20,
    n_full=1,
    coverage_mean=0.3,
    coverage_histogram=(80,),
)


@pytest.mark.parametrize(
    ("limits", "n_set_aside", "expected"),
    [
        ({"max_error_rate": 0.05}, 0, EXIT_DONE),
        ({"max_error_rate": 0.04}, 0, EXIT_TOO_MANY_ERRORS),
        ({"max_error_rate": 0.05, "max_empty_rate": 0.25}, 0, EXIT_DONE),
        ({"max_error_rate": 0.05, "max_empty_rate": 0.24}, 0, EXIT_TOO_MANY_ERRORS),
        ({"max_error_rate": 0.0}, 1, EXIT_INCOMPLETE),
    ],
)
def test_too_many_errors_or_empty_masks_are_told_by_the_exit_status(
    configure: Configure, limits: dict[str, float], n_set_aside: int, expected: int
) -> None:
    config = configure(limits=SegmentLimitsConfig(**limits))  # type: ignore[arg-type]
    assert verdict(config, Outcome(TOTAL, n_set_aside)) == expected
