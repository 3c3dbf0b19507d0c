"""Shards without masks, and a small segmenter that was loaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline.run.reports import ShardReport
from jobs.pipeline.run.shard import find_shards
from jobs.pipeline.segmenting.plan import SegmentingPlan, load_segmenting
from jobs.pipeline.segmenting.shard_segmenter import ShardSegmenter
from masc_core.segmenters import make_segmenter
from tests.masc_core.segmenters.checkpoints import write_clipseg
from tests.pictures import painted
from tests.shards import Member, png, write_tar


def unmasked(key: str, picture: int, **fields: Any) -> list[Member]:
    """A sample of an image and JSON."""
    fields = {"concept": "cat", "subject": "cat", **fields}
    image, _ = painted((60 + picture, 48), picture)
    return [(f"{key}.json", json.dumps(fields).encode()), (f"{key}.png", png(image))]


@dataclass
class Segmented:
    """What became of a shard."""

    report: ShardReport
    path: Path
    document: Mapping[str, Any]


class SmallSegmenter:
    """Writes into `folder / "out"`."""

    def __init__(self, folder: Path, checkpoint: Path, batch_size: int, **plan: Any) -> None:
        self.folder = folder
        self.checkpoint = checkpoint
        segmenter = make_segmenter("clipseg", name_or_path=str(checkpoint))
        self.plan = SegmentingPlan(
            **{"out": str(folder / "out"), "max_image_pixels": 1_000_000, **plan},
            segmenter=segmenter,
        )
        self.segmenter: ShardSegmenter = load_segmenting(self.plan, 1, batch_size)

    def process(self, path: Path) -> Segmented:
        """Do a shard."""
        [shard] = find_shards([str(path)])
        report = self.segmenter.process(shard)
        out = Path(self.plan.out)
        document = json.loads((out / "segmented" / f"{shard.id}.json").read_text())
        return Segmented(report, out / path.name, document)

    def process_members(self, members: Iterable[Member]) -> Segmented:
        """Do a shard of these members."""
        return self.process(write_tar(self.folder / "shard.tar", members))


@pytest.fixture(scope="session")
def clipseg_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clipseg(tmp_path_factory.mktemp("clipseg"))


@pytest.fixture
def small(tmp_path: Path, clipseg_checkpoint: Path) -> Iterator[Callable[..., SmallSegmenter]]:
    """Makes one; settings of its plan go in by name."""

    def make(batch_size: int = 3, **plan: Any) -> SmallSegmenter:
        return SmallSegmenter(tmp_path, clipseg_checkpoint, batch_size, **plan)

    yield make
