"""Identity as one JSON document: null where a figure is undefined, never NaN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.pipeline.results.identity.identifying import Identity
from jobs.pipeline.results.intervals import Interval
from jobs.pipeline.results.numbers import number


def document(found: Sequence[Identity]) -> dict[str, Any]:
    """What `--json` prints, by column."""
    return {each.name: _column(each) for each in found}


def auc_interval(found: Identity) -> Interval:
    """Over subjects; an AUC lies within [0, 1]."""
    return found.auc.interval().within(0, 1)


def _column(found: Identity) -> dict[str, Any]:
    return {
        "auc": number(found.auc.mean),
        "ci": _ends(auc_interval(found)),
        "ci_delong": _ends(found.delong.within(0, 1)),
        "map": number(found.retrieval.mean),
        "map_ci": _ends(found.retrieval.within(0, 1)),
        "n_queries": found.n_queries,
        "n_within": len(found.within),
        "n_cross": len(found.cross),
        "n_concepts": found.n_subjects,
        "mean_within": number(float(found.within.mean())),
        "mean_cross": number(float(found.cross.mean())),
        "std_within": number(float(found.within.std())),
        "std_cross": number(float(found.cross.std())),
        "delta": number(found.delta),
        "delta_normalised": number(found.delta_normalised),
        "left_out": dict(found.left_out),
    }


def _ends(interval: Interval) -> list[float | None]:
    return [number(interval.low), number(interval.high)]
