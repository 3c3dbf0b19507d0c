"""Shards scored without Ray, by the real scorer with a small encoder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from jobs.pipeline.run.reports import ShardReport
from jobs.pipeline.run.shard import find_shards
from jobs.pipeline.scoring.config import EncoderConfig, MetricConfig
from jobs.pipeline.scoring.metrics import groups_asked, metrics_asked
from jobs.pipeline.scoring.plan import ScoringPlan, SharedReferences, load_scorer
from jobs.pipeline.scoring.reference_index import ReferenceIndex
from jobs.pipeline.scoring.scorer import ShardScorer
from masc_core import Encoder
from masc_core.masc_scores import MascScores
from tests.pipeline.scoring.asking import metrics_of
from tests.shards import Member, reference, write_tar

MAX_NUM_PATCHES = 36
MAX_IMAGE_PIXELS = 64_000_000


@dataclass
class SmallScorer:
    """A scorer of batches of 4, whose run is `folder / "run"`."""

    scorer: ShardScorer
    masc: MascScores
    folder: Path

    @property
    def encoder(self) -> Encoder:
        """MaSC's."""
        return self.masc.masc.encoder

    def score(self, shard: Path) -> ShardReport:
        """Score a shard, whole: what its part holds already would not be computed again."""
        [found] = find_shards([str(shard)])
        self.part(shard).unlink(missing_ok=True)
        return self.scorer.process(found)

    def part(self, shard: Path) -> Path:
        """Where a shard's part is, or will be."""
        [found] = find_shards([str(shard)])
        return self.folder / "run" / "scores" / f"{found.id}.parquet"

    def rows(self, shard: Path) -> list[dict[str, Any]]:
        """Score a shard; the rows of its part."""
        self.score(shard)
        return pq.read_table(self.part(shard)).to_pylist()

    def rows_of(self, members: Iterable[Member]) -> dict[str, dict[str, Any]]:
        """Score a shard of these members; its rows by key."""
        rows = self.rows(write_tar(self.folder / "generations.tar", members))
        return {row["key"]: row for row in rows}


def small_scorer(
    checkpoint: Path,
    folder: Path,
    references: Iterable[Member] = (),
    metric: MetricConfig | None = None,
    batch_size: int = 4,
    max_image_pixels: int = MAX_IMAGE_PIXELS,
) -> SmallScorer:
    """A scorer with two references of the concept `cat`, and further ones."""
    plan = small_plan(checkpoint, folder, metric or MetricConfig(), max_image_pixels)
    members = [*reference("cat/0", 1), *reference("cat/1", 2), *references]
    shard = write_tar(folder / "references.tar", members)
    scorer = ready_scorer(plan, [shard], batch_size)
    masc = plan.metrics[0]
    assert isinstance(masc, MascScores)
    return SmallScorer(scorer, masc, folder)


def small_plan(
    checkpoint: Path, folder: Path, metric: MetricConfig, max_image_pixels: int = MAX_IMAGE_PIXELS
) -> ScoringPlan:
    """What to score, into `folder / "run"`, with few patches."""
    encoder = EncoderConfig(name_or_path=str(checkpoint), max_num_patches=MAX_NUM_PATCHES)
    metrics = metrics_of(encoder, metric)
    groups = groups_asked(metrics_asked(encoder, metric, {}, max_image_pixels))
    return ScoringPlan(
        str(folder / "run"), metrics, groups, metric.min_fg_fraction, max_image_pixels
    )


def ready_scorer(plan: ScoringPlan, references: list[Path], batch_size: int | None) -> ShardScorer:
    """A scorer that has loaded its metrics and encoded its references."""
    scorer = load_scorer(plan, threads=2, batch_size=batch_size)
    read = [scorer.read_input(str(shard)) for shard in references]
    index = ReferenceIndex(answer.entries for answer, _ in read)
    scorer.share(SharedReferences(index), lambda number: read[number][1])
    return scorer
