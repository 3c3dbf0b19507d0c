"""A part gains the columns that it lacks; the old ones stay as they are, to the last bit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.parts import Footer
from jobs.pipeline.run.reports import RowCounts
from jobs.pipeline.run.shard import Shard, find_shards
from jobs.pipeline.scoring.config import EncoderConfig, MetricConfig
from jobs.pipeline.scoring.metrics import groups_asked, metrics_asked, metrics_for
from jobs.pipeline.scoring.plan import ScoringPlan
from jobs.pipeline.scoring.scorer import ShardScorer
from masc_core import Encoder
from masc_core.comparators import COMPARATORS
from tests.pictures import painted
from tests.pipeline.scoring.small_scorer import MAX_NUM_PATCHES, ready_scorer
from tests.shards import Member, generation, png, reference, write_tar

ALL = ["tones", "mean_colour", "cp.leak", "pf.full.full", "siglip2_global"]


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMPARATORS, "mean_colour", "tests.comparators.mean_colour:MeanColour")
    monkeypatch.setitem(COMPARATORS, "tones", "tests.comparators.tones:Tones")


class Folder:
    """A run of one shard, and the scorers that calls of different settings would have."""

    def __init__(self, folder: Path, checkpoint: Path) -> None:
        self._folder = folder
        self._checkpoint = checkpoint
        self.run = RunDirectory(str(folder / "run"))
        self.write(range(6))
        self._references = write_tar(
            folder / "references.tar", [*reference("cat/0", 1), *reference("cat/1", 2)]
        )

    def write(self, seeds: Iterable[int]) -> None:
        sizes = [(96, 96), (128, 72), (72, 128)]
        members = [m for i in seeds for m in generation(f"{i:02d}", i, sizes[i % 3])]
        write_tar(self._folder / "g.tar", [*members, *generation("unprepared", 9)])

    @property
    def shard(self) -> Shard:
        return find_shards([str(self._folder / "g.tar")])[0]

    def scorer(self, only: Iterable[str] | None = None, **settings: Any) -> ShardScorer:
        """For these settings of `metric`; of their columns those in `only`, None for all."""
        metric = MetricConfig(**settings)
        encoder = EncoderConfig(str(self._checkpoint), max_num_patches=MAX_NUM_PATCHES)
        asked = metrics_asked(encoder, metric, {}, 10_000_000)
        everything = {c for each in asked for group in each.groups for c in each.columns_of(group)}
        metrics = metrics_for(asked, everything if only is None else set(only))
        plan = ScoringPlan(self.run.url, metrics, groups_asked(asked), 0.0, 10_000_000)
        return ready_scorer(plan, [self._references], batch_size=4)

    def part(self) -> pa.Table:
        stored = self.run.read_part(self.shard)
        assert stored is not None and stored.table is not None
        return stored.table

    def footer(self) -> Footer:
        stored = self.run.read_part(self.shard)
        assert stored is not None
        return stored.footer

    def content(self) -> bytes:
        return (Path(self.run.url) / "scores" / f"{self.shard.id}.parquet").read_bytes()


@pytest.fixture
def folder(naflex_checkpoint: Path, tmp_path: Path) -> Folder:
    return Folder(tmp_path, naflex_checkpoint)


def same(ours: pa.Table, theirs: pa.Table, but: Iterable[str] = ()) -> None:
    """Every column of `theirs` is in `ours`, bit by bit: NaN is compared by its bits too."""
    for name in set(theirs.schema.names) - set(but):
        assert ours.schema.field(name) == theirs.schema.field(name)
        left, right = (each[name].combine_chunks() for each in (ours, theirs))
        if pa.types.is_float64(left.type):
            left, right = (each.fill_null(7.0).to_numpy().view("int64") for each in (left, right))
            assert (left == right).all()
        else:
            assert left.equals(right) or left.to_pylist() == right.to_pylist()


def test_a_comparator_is_added_without_the_encoder_and_equals_one_asked_for_at_once(
    folder: Folder, tmp_path: Path, naflex_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.scorer().process(folder.shard)
    before = folder.part()
    assert "tones" not in before.schema.names
    forwards: list[int] = []
    encode = Encoder.encode_images

    def counted(self: Encoder, pixels: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        forwards.append(len(pixels))
        return encode(self, pixels, grid)

    monkeypatch.setattr(Encoder, "encode_images", counted)
    adding = folder.scorer(only=["tones", "tones_per_reference"], extra=["tones"])
    assert adding.process(folder.shard).counts == RowCounts(ok=7)
    assert forwards == []
    after = folder.part()
    same(after, before, but=["error"])
    assert set(folder.footer().groups) == {"masc", "tones"}
    at_once = Folder(tmp_path / "at-once", naflex_checkpoint)
    at_once.scorer(extra=["tones"]).process(at_once.shard)
    assert forwards != []
    same(after, at_once.part(), but=["shard"])
    assert after.schema.names == at_once.part().schema.names
    assert dict(zip(*(after[n].to_pylist() for n in ("key", "error")), strict=True)) == {
        **{f"{i:02d}": None for i in range(6)},
        "unprepared": "tones: no tones in it",
    }


def test_columns_of_the_same_forward_are_added_one_by_one_and_equal_all_at_once(
    folder: Folder, tmp_path: Path, naflex_checkpoint: Path
) -> None:
    asked: list[str] = []
    folder.scorer().process(folder.shard)
    for name in ALL:
        before = folder.part()
        asked.append(name)
        columns = [name, f"{name}_per_reference"]
        folder.scorer(only=columns, extra=asked).process(folder.shard)
        same(folder.part(), before, but=["error"])
    folder.scorer(masks=["given", "dilate:3"], extra=asked).process(folder.shard)
    at_once = Folder(tmp_path / "at-once", naflex_checkpoint)
    at_once.scorer(extra=ALL, masks=["given", "dilate:3"]).process(at_once.shard)
    ours, theirs = folder.part(), at_once.part()
    assert set(ours.schema.names) == set(theirs.schema.names)
    for name in theirs.schema.names:
        if pa.types.is_float64(theirs.schema.field(name).type):
            expected = pytest.approx(theirs[name].to_pylist(), abs=1e-6, nan_ok=True)
            assert ours[name].to_pylist() == expected


def test_what_is_there_is_not_computed_nor_written_again(folder: Folder) -> None:
    scorer = folder.scorer(extra=["tones"])
    scorer.process(folder.shard)
    before = folder.content()
    assert scorer.process(folder.shard).counts == RowCounts(ok=7)
    assert folder.scorer().process(folder.shard).counts == RowCounts(ok=7)
    assert folder.content() == before


def test_a_late_writer_of_before_drops_no_column(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read no part, scores all of it, and commits when another call has done so, with more."""
    late = folder.scorer(extra=["mean_colour"])
    adding = folder.scorer(extra=["tones"])
    score = late._score_samples

    def slowly(*arguments: Any) -> Any:
        done = score(*arguments)
        adding.process(folder.shard)
        return done

    monkeypatch.setattr(late, "_score_samples", slowly)
    late.process(folder.shard)
    part = folder.part()
    assert {"tones", "mean_colour", "cp"} <= set(part.schema.names)
    assert part["tones"].null_count == 1
    assert part["mean_colour"].null_count == 0
    assert set(folder.footer().groups) == {"masc", "tones", "mean_colour"}


def test_a_late_writer_of_another_configuration_is_refused(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = folder.scorer(fg_threshold=0.4)
    other = folder.scorer()
    score = late._score_samples

    def slowly(*arguments: Any) -> Any:
        done = score(*arguments)
        other.process(folder.shard)
        return done

    monkeypatch.setattr(late, "_score_samples", slowly)
    with pytest.raises(CallError, match=r"metric\.fg_threshold is 0\.4, there 0\.5"):
        late.process(folder.shard)


def test_a_shard_that_changed_is_scored_anew_whole(folder: Folder) -> None:
    folder.scorer().process(folder.shard)
    folder.write(range(3))
    folder.scorer(extra=["tones"]).process(folder.shard)
    part = folder.part()
    assert part["key"].to_pylist() == ["00", "01", "02", "unprepared"]
    assert part["tones"].null_count == 1
    assert folder.footer().source == folder.shard.source


def test_what_needs_the_encoder_and_has_none_is_left(folder: Folder) -> None:
    """A part that changed after the call looked at it."""
    folder.scorer().process(folder.shard)
    adding = folder.scorer(only=["tones"], extra=["tones"])
    folder.write(range(2))
    with pytest.raises(StorageError, match="no longer what it was when this call began"):
        adding.process(folder.shard)


def test_a_shard_that_changes_while_it_is_scored_is_no_part(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = folder.scorer()
    shard = folder.shard
    score = scorer._score_samples

    def disturbed(*arguments: Any) -> Any:
        done = score(*arguments)
        folder.write(range(2))
        return done

    monkeypatch.setattr(scorer, "_score_samples", disturbed)
    with pytest.raises(StorageError, match="has changed since this call began"):
        scorer.process(shard)
    assert folder.run.parts() == []


def test_rows_that_are_not_ok_stay_as_they_are(folder: Folder, tmp_path: Path) -> None:
    bad: list[Member] = [("bad.json", b"{}"), ("bad.png", b"no image")]
    write_tar(tmp_path / "g.tar", [*generation("a", 1), *bad, *generation("b", 2)])
    folder.scorer().process(folder.shard)
    before = folder.part()
    assert before["status"].to_pylist() == ["ok", "error", "ok"]
    report = folder.scorer(only=["mean_colour"], extra=["mean_colour"]).process(folder.shard)
    assert report.counts == RowCounts(ok=2, error=1)
    assert report.first_error is None  # it was told when it was found
    part = folder.part()
    same(part, before)
    assert part["mean_colour"].is_null().to_pylist() == [False, True, False]


def test_a_concept_that_finds_its_reference_is_scored_anew(folder: Folder, tmp_path: Path) -> None:
    write_tar(tmp_path / "g.tar", [*generation("a", 1), *generation("b", 2, concept="dog")])
    folder.scorer().process(folder.shard)
    assert folder.part()["status"].to_pylist() == ["ok", "error"]
    assert folder.footer().references["dog"] is None
    write_tar(tmp_path / "references.tar", [*reference("cat/0", 1), *reference("cat/1", 2)])
    more = [*reference("cat/0", 1), *reference("cat/1", 2), *reference("dog", 3, concept="dog")]
    write_tar(tmp_path / "references.tar", more)
    folder.scorer().process(folder.shard)
    assert folder.part()["status"].to_pylist() == ["ok", "ok"]
    assert folder.footer().references["dog"] is not None


def test_a_footer_tells_what_the_rows_rest_on(folder: Folder) -> None:
    folder.scorer(extra=["tones"]).process(folder.shard)
    path = Path(folder.run.url) / "scores" / f"{folder.shard.id}.parquet"
    footer = Footer.parse(pq.read_metadata(path).metadata)
    assert footer.groups["masc"]["encoder.dtype"] == "float32"
    assert footer.groups["tones"]["bins"] == {"wide": 8, "tall": 4}
    assert set(footer.references) == {"cat"}
    assert footer.source == folder.shard.source


def test_a_part_of_before_positions_gets_them_with_the_next_column(folder: Folder) -> None:
    folder.scorer().process(folder.shard)
    stored = folder.run.read_part(folder.shard)
    assert stored is not None and stored.table is not None
    old = stored.table.drop_columns(["offset", "length"])
    footer = stored.footer
    folder.run.commit(folder.shard, old, footer.groups, footer.references, over=stored)
    folder.scorer(only=["mean_colour"], extra=["mean_colour"]).process(folder.shard)
    same(folder.part(), stored.table)


def test_a_mask_that_came_later_is_a_column_that_is_gained(folder: Folder, tmp_path: Path) -> None:
    """References may gain masks: what rows were scored against is known mask by mask."""
    folder.scorer().process(folder.shard)
    _, mask = painted((96, 96), 1)[:2]
    held = folder.footer().references["cat"]
    with_masks = [
        *reference("cat/0", 1),
        ("cat/0.mask.sam3.png", png(mask)),
        *reference("cat/1", 2),
    ]
    write_tar(tmp_path / "references.tar", with_masks)
    write_tar(tmp_path / "g.tar", [*generation("00", 0), ("00.mask.sam3.png", png(mask))])
    scorer = folder.scorer(masks=["given", "sam3"])
    scorer.process(folder.shard)
    assert (folder.footer().references["cat"] or {})["given"] == (held or {})["given"]
    assert not math.isnan(folder.part()["cp"].to_pylist()[0])
