"""The way of a shard through one worker, without Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.pipeline.errors import CallError
from jobs.pipeline.run.reports import RowCounts
from jobs.pipeline.run.shard import find_shards
from jobs.pipeline.scoring.scorer import ShardScorer
from tests.commands import rows_of
from tests.pipeline.scoring.small_scorer import SmallScorer, small_scorer
from tests.shards import generation, reference, write_tar


@pytest.fixture
def small(naflex_checkpoint: Path, tmp_path: Path) -> SmallScorer:
    """A scorer of batches of 4, with two references of the concept `cat`."""
    return small_scorer(naflex_checkpoint, tmp_path)


@pytest.fixture
def scorer(small: SmallScorer) -> ShardScorer:
    return small.scorer


def score(scorer: ShardScorer, path: Path) -> Any:
    """Whole: what its part holds already would not be computed again."""
    [shard] = find_shards([str(path)])
    (path.parent / "run" / "scores" / f"{shard.id}.parquet").unlink(missing_ok=True)
    return scorer.process(shard)


def write_shard(path: Path, n: int) -> Path:
    return write_tar(path, [m for i in range(n) for m in generation(f"{i:02d}", i)])


def test_the_device_running_out_of_memory_halves_the_batch_and_changes_no_score(
    small: SmallScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = small.scorer
    path = write_shard(tmp_path / "g.tar", 9)
    score(scorer, path)
    undisturbed = rows_of(tmp_path / "run")
    encoder = small.encoder
    encode, sizes = encoder.encode_images, []

    def small_device(pixels: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        sizes.append(len(pixels))
        if len(pixels) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")
        return encode(pixels, grid)

    monkeypatch.setattr(encoder, "encode_images", small_device)
    assert score(scorer, path).counts == RowCounts(ok=9)
    assert sizes[:4] == [4, 2, 1, 1]
    assert scorer.batch_sizes == {"masc": 1}
    for ours, before in zip(rows_of(tmp_path / "run"), undisturbed, strict=True):
        assert ours["cp"] == pytest.approx(before["cp"], abs=1e-5)
        assert ours["pf"] == pytest.approx(before["pf"], abs=1e-5)

    def no_device(pixels: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")

    monkeypatch.setattr(encoder, "encode_images", no_device)
    assert score(scorer, path).counts == RowCounts(error=9)
    assert {row["error"] for row in rows_of(tmp_path / "run")} == {
        "out of memory on the device: CUDA out of memory. Tried to allocate 2 GiB."
    }


def test_rows_keep_the_order_of_the_shard_whatever_the_batches(
    scorer: ShardScorer, tmp_path: Path
) -> None:
    sizes = [(96, 96), (120, 60), (60, 120)]
    members = [m for i in range(20) for m in generation(f"{i:02d}", i, sizes[i * 7 % 3])]
    report = score(scorer, write_tar(tmp_path / "g.tar", members))
    assert report.counts == RowCounts(ok=20)
    assert [row["key"] for row in rows_of(tmp_path / "run")] == [f"{i:02d}" for i in range(20)]
    assert report.timings.scoring > 0
    assert scorer.counts == {}


def test_two_shards_at_once_score_as_one_after_the_other(
    scorer: ShardScorer, tmp_path: Path
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    paths = [write_shard(tmp_path / f"g{i}.tar", 10) for i in range(4)]
    alone = [score(scorer, path).counts for path in paths]
    before = rows_of(tmp_path / "run")
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda path: score(scorer, path).counts, paths)) == alone
    assert rows_of(tmp_path / "run") == before


def test_a_damaged_shard_keeps_the_rows_before_the_damage_and_says_what_is_lost(
    scorer: ShardScorer, tmp_path: Path
) -> None:
    path = write_shard(tmp_path / "g.tar", 6)
    score(scorer, path)
    undisturbed = rows_of(tmp_path / "run")
    cut = path.stat().st_size // 2
    with path.open("r+b") as file:
        file.truncate(cut)
    assert score(scorer, path).counts.error == 2
    rows = rows_of(tmp_path / "run")
    whole = [row for row in rows if row["status"] == "ok"]
    assert len(whole) >= 2
    for ours, before in zip(whole, undisturbed, strict=False):
        assert ours["key"] == before["key"]
        assert ours["cp"] == pytest.approx(before["cp"], abs=1e-5)
    torn, lost = rows[len(whole) :]
    assert torn["key"] == undisturbed[len(whole)]["key"]
    assert "the shard is damaged from here on" in torn["error"]
    assert lost["key"].endswith("#damaged")
    assert lost["error"].startswith("shard: damaged at byte ")


def test_a_damaged_reference_shard_is_refused(scorer: ShardScorer, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "broken.tar", [*reference("cat/0", 1), *reference("cat/1", 2)])
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(CallError, match=r"references=.*broken\.tar: .*damaged"):
        scorer.read_input(str(path))
