"""Shards scored without Ray, by the real scorer with a small encoder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from jobs.pipeline.cluster.config import LimitsConfig
from jobs.pipeline.evaluation_config import EvaluateConfig
from jobs.pipeline.run.shard import find_shards
from jobs.pipeline.scoring.checkpoint import find_checkpoint
from jobs.pipeline.scoring.config import EncoderConfig
from jobs.pipeline.scoring.plan import Plan
from jobs.pipeline.scoring.reference_index import ReferenceIndex
from jobs.pipeline.scoring.scorer import ShardScorer
from tests.shards import Member, reference, write_tar

MAX_NUM_PATCHES = 36


@dataclass
class SmallScorer:
    """A scorer of batches of 4, whose run is `folder / "run"`."""

    scorer: ShardScorer
    folder: Path

    def rows(self, shard: Path) -> list[dict[str, Any]]:
        """Score a shard; the rows of its part."""
        [found] = find_shards([str(shard)])
        self.scorer.score_shard(found)
        return pq.read_table(self.folder / "run" / "scores" / f"{found.id}.parquet").to_pylist()

    def rows_of(self, members: Iterable[Member]) -> dict[str, dict[str, Any]]:
        """Score a shard of these members; its rows by key."""
        rows = self.rows(write_tar(self.folder / "generations.tar", members))
        return {row["key"]: row for row in rows}


def small_scorer(
    checkpoint: Path, folder: Path, references: Iterable[Member] = (), **limits: Any
) -> SmallScorer:
    """A scorer with two references of the concept `cat`, and further ones."""
    encoder = EncoderConfig(name_or_path=str(checkpoint), max_num_patches=MAX_NUM_PATCHES)
    config = EvaluateConfig(run=str(folder / "run"), encoder=encoder, limits=LimitsConfig(**limits))
    plan = Plan(config, find_checkpoint(encoder), {"a": 1}, threads=2, batch_size=4)
    scorer = ShardScorer(plan)
    members = [*reference("cat/0", 1), *reference("cat/1", 2), *references]
    shard = write_tar(folder / "references.tar", members)
    entries, tokens = scorer.encode_references(str(shard))
    scorer.use_references(ReferenceIndex(entries), lambda key: tokens[key])
    return SmallScorer(scorer, folder)
