"""What a worker that scores is told at its start. Imports no torch: the driver makes it."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jobs.pipeline.errors import CallError
from jobs.pipeline.networks import Networks
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

    def told_apart(self, metric: Metric) -> Hashable:
        """What tells one of its metrics from others: equal ones give equal columns."""
        own = {
            group: self.groups[group] for group in {metric.name, *metric.columns} & {*self.groups}
        }
        of_class = f"{type(metric).__module__}.{type(metric).__qualname__}"
        return (of_class, metric.source, *metric.columns, json.dumps(own, sort_keys=True))


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


METRICS = "metrics"
"""The kind of networks that scoring keeps in a worker."""


def load_scorer(
    plan: ScoringPlan,
    threads: int,
    batch_size: int | None,
    networks: Networks | None = None,
) -> ShardScorer:
    """Load the metrics of a plan; called in a worker.

    Args:
        threads: that compute, and as many that decode beside them.
        batch_size: samples a batch; None lets every metric have its own, by the device's memory.
        networks: of the worker; a metric that is among them is not loaded again.

    Raises:
        CallError: a checkpoint, or what the configuration asks of it, cannot be used.
    """
    # Progress bars of N workers over one another tell nobody anything.
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    import transformers

    # What matters of its warnings, weights that are missing, is an error of ours.
    transformers.utils.logging.set_verbosity_error()
    from jobs.pipeline.scoring.scorer import ShardScorer
    from masc_core.device import release_cached_memory

    networks = networks or Networks()
    before = networks.take(METRICS)
    names = [plan.told_apart(metric) for metric in plan.metrics]
    metrics = [before.get(name, own) for name, own in zip(names, plan.metrics, strict=True)]
    loaded = [name in before for name in names]
    unused = {own.device for name, own in before.items() if name not in names}
    del before
    if unused:
        # What is not used makes room, and networks refer to themselves.
        gc.collect()
        for device in unused:
            release_cached_memory(device)
    scorer = ShardScorer(replace(plan, metrics=tuple(metrics)), threads, batch_size)
    for metric, is_loaded in zip(metrics, loaded, strict=True):
        try:
            scorer.load(metric, is_loaded)
        except (OSError, ValueError, ImportError) as error:
            raise CallError(f"{metric.source}: cannot be loaded: {error}") from error
    networks.put(METRICS, dict(zip(names, metrics, strict=True)))
    return scorer
