"""The metrics of a call, to compute all that it asks for."""

from __future__ import annotations

from jobs.pipeline.scoring.config import EncoderConfig, MetricConfig
from jobs.pipeline.scoring.metrics import metrics_asked, metrics_for
from masc_core.protocol import Metric


def metrics_of(encoder: EncoderConfig, metric: MetricConfig) -> tuple[Metric, ...]:
    """MaSC first, then the comparators in the order in which they are named."""
    asked = metrics_asked(encoder, metric, {}, 1)
    return metrics_for(asked, frozenset().union(*(each.columns for each in asked)))
