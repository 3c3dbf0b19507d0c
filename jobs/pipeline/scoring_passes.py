"""The passes of an evaluation: which metrics have one together, and what is to do in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from jobs.pipeline.cluster.shard_job import Resources, ShardProcessor
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.fingerprint import MASC
from jobs.pipeline.run.rows import PER_REFERENCE
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.scoring.metrics import Asked
from jobs.pipeline.scoring.placing import Need
from jobs.pipeline.scoring.plan import InputAnswer, ScoringPlan, SharedReferences, load_scorer
from masc_core.protocol import Metric

SMALL = 4 * 10**9
"""Bytes of weights that stand together on whatever computes networks: nobody is asked for its
memory."""


class ScoringPass:
    """Some of the metrics of a call, over all of its shards. A `cluster.passes.Pass`."""

    participle = "scored"
    inputs_setting = "references"

    def __init__(
        self,
        plan: ScoringPlan,
        columns: frozenset[str],
        inputs: Sequence[str],
        share: Callable[[Sequence[InputAnswer]], SharedReferences],
        lacking: Callable[[ScoringPass, RunDirectory, Sequence[Shard]], list[Shard]],
    ) -> None:
        """Nothing is loaded.

        Args:
            columns: that it is to compute.
            inputs: the reference shards.
            lacking: of shards those that lack some of its columns, and can have them by now.
        """
        self.columns = columns
        self.inputs = inputs
        self.names: Sequence[str] = [name for each in plan.metrics for name in names_of(each)]
        self.begins_parts = bool(plan.n_required)
        """Whether a shard needs no part yet: MaSC begins it, and other metrics join it."""
        # All that goes to a worker.
        self.load: Callable[[Resources], ShardProcessor] = partial(_load, plan)
        self._share = share
        self._lacking = lacking

    def share(self, answers: Sequence[InputAnswer]) -> SharedReferences:
        """See `Scoring.share`."""
        return self._share(answers)

    def to_do(self, run: RunDirectory, shards: Sequence[Shard]) -> list[Shard]:
        """Those that lack columns, and can have them by now."""
        return self._lacking(self, run, shards)


def names_of(metric: Metric) -> list[str]:
    """By which a metric is asked for: MaSC, or its columns."""
    if metric.name == MASC:
        return [MASC]
    return [name for name in metric.columns if not name.endswith(PER_REFERENCE)]


def needs_of(
    metrics: Sequence[Metric], asked: Sequence[Asked], gated: Collection[str]
) -> list[Need]:
    """What metrics need of a device.

    Args:
        gated: columns by which the run may be decided before its end.
    """
    own_pass: Mapping[str, bool | None] = {
        each.metric.name: each.own_pass for each in asked if each.metric is not None
    }
    return [
        Need(
            ", ".join(names_of(metric)),
            metric.source,
            metric.weight_bytes,
            own_pass.get(metric.name),
            is_first=metric.name == MASC or not metric.columns.keys().isdisjoint(gated),
        )
        for metric in metrics
    ]


def are_small(needs: Sequence[Need]) -> bool:
    """Whether no device is too small for all of them, or it is MaSC's encoder alone, of which
    nothing can be parted."""
    is_masc_alone = all(each.name == MASC for each in needs)
    return is_masc_alone or sum(each.weight_bytes or 0 for each in needs) <= SMALL


def described_passes(passes: Sequence[Sequence[Need]]) -> list[list[dict[str, Any]]]:
    """As `run.json` has them: of each pass, what it has and what that takes."""
    return [
        [{"metric": each.name, "weight_bytes": each.weight_bytes} for each in own] for own in passes
    ]


def _load(plan: ScoringPlan, resources: Resources) -> ShardProcessor:
    return load_scorer(plan, resources.threads, resources.batch_size, resources.networks)
