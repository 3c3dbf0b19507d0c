"""What a worker that scores is told at its start. Imports no torch: the driver makes it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.pipeline.errors import CallError
from jobs.pipeline.run.fingerprint import MASC, Groups
from jobs.pipeline.scoring.reference_index import ReferenceEntry, ReferenceIndex
from masc_core.protocol import Metric

if TYPE_CHECKING:
    from jobs.pipeline.scoring.scorer import ShardScorer


@dataclass(frozen=True)
class ScoringPlan:
    """What is scored, and how."""

    run: str
    """The directory of results."""
    metrics: tuple[Metric, ...]
    """Those that have something to compute, not loaded yet; MaSC first, where it is among them."""
    groups: Groups
    """The fingerprint of each group that they compute columns of."""
    min_fg_fraction: float
    """Pairs with a mask of this share of its pixels or less are skipped; 0 skips none."""
    max_image_pixels: int
    """Larger images and masks are errors."""
    member_masks: tuple[str, ...] = ()
    """NAMEs of the members mask.NAME.png that are read beside mask.png."""
    limit: int | None = None
    """Score no more than the first so many samples of a shard."""

    @property
    def n_required(self) -> int:
        """How many of the metrics, the first ones, cost a sample its row when they fail: MaSC."""
        return sum(metric.name == MASC for metric in self.metrics)


@dataclass(frozen=True)
class InputAnswer:
    """What the driver is told of a reference shard."""

    entries: tuple[ReferenceEntry, ...]
    sha256: str
    """Of the shard's content."""


@dataclass(frozen=True)
class SharedReferences:
    """What every worker is told before its first shard."""

    index: ReferenceIndex


def load_scorer(plan: ScoringPlan, threads: int, batch_size: int | None) -> ShardScorer:
    """Load the metrics of a plan; called in a worker.

    Args:
        threads: that compute, and as many that decode beside them.
        batch_size: samples a batch; None lets every metric have its own, by the device's memory.

    Raises:
        CallError: a checkpoint, or what the configuration asks of it, cannot be used.
    """
    # Progress bars of N workers over one another tell nobody anything.
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    import transformers

    # What matters of its warnings, weights that are missing, is an error of ours.
    transformers.utils.logging.set_verbosity_error()
    from jobs.pipeline.scoring.scorer import ShardScorer

    scorer = ShardScorer(plan, threads, batch_size)
    for metric in plan.metrics:
        try:
            scorer.load(metric)
        except (OSError, ValueError, ImportError) as error:
            raise CallError(f"{metric.source}: cannot be loaded: {error}") from error
    return scorer
