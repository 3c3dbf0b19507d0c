"""Groups as the tables of `summary/`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from jobs.pipeline.results.aggregation import STATUSES, SUBJECTS, Grouping, Groups, add_up
from jobs.pipeline.results.intervals import Interval, mean_interval
from jobs.pipeline.results.quantiles import LEVELS


def table_of(
    groups: Groups,
    names: Sequence[str],
    quantiles: dict[str, np.ndarray],
    intervals: dict[str, list[Interval]] | None = None,
) -> pa.Table:
    """The table of a grouping; NaN is null in it.

    Args:
        groups: of the grouping.
        names: the columns of its keys.
        quantiles: (groups, levels) by score column.
        intervals: one a group, by score column; None where a group is a single concept.
    """
    columns: dict[str, pa.Array] = {
        name: pa.array([key[place] for key in groups.keys], pa.string())
        for place, name in enumerate(names)
    }
    columns |= {name: pa.array(groups.counts[name], pa.int64()) for name in ("n", *STATUSES)}
    nothing = np.full(len(groups.keys), np.nan)
    for score, moments in groups.moments.items():
        columns[f"n_{score}"] = pa.array(moments.n, pa.int64())
        columns[f"n_{score}_nan"] = pa.array(moments.nan, pa.int64())
        figures = {
            "mean": moments.mean,
            "std": moments.std,
            "min": moments.least,
            "max": moments.most,
            **dict(zip(LEVELS, quantiles[score].T, strict=True)),
            "ci_low": nothing,
            "ci_high": nothing,
        }
        if intervals is not None:
            figures["ci_low"] = np.array([each.low for each in intervals[score]])
            figures["ci_high"] = np.array([each.high for each in intervals[score]])
        columns |= {f"{score}_{name}": _figures(found) for name, found in figures.items()}
    columns["cp_x_pf"] = _figures(groups.moments["cp"].mean * groups.moments["pf"].mean)
    return pa.table(columns)


def table_of_models(
    cells: Groups,
    grouping: Grouping,
    quantiles: dict[str, np.ndarray],
    subjects_are_known: bool,
) -> pa.Table:
    """The table per model: with intervals, macro means, and counts of subjects that stayed in.

    Args:
        cells: the concepts of each model.
        grouping: of the cells, by model.
        quantiles: (models, levels) by score column.
        subjects_are_known: whether every row says of its subject; else those counts are null.
    """
    models = add_up(cells, grouping)
    # Cells are in the order of their models.
    n_concepts = np.bincount(grouping.codes, minlength=len(models.keys))
    ends = np.cumsum(n_concepts)
    by_model = [slice(end - n, end) for n, end in zip(n_concepts, ends, strict=True)]
    intervals: dict[str, list[Interval]] = {}
    macro: dict[str, pa.Array] = {}
    for score, moments in cells.moments.items():
        concepts = [(moments.mean[own], moments.n[own]) for own in by_model]
        scored = [(mean[n > 0], n[n > 0]) for mean, n in concepts]
        intervals[score] = [mean_interval(mean * n, n) for mean, n in scored]
        means = [mean.mean() if len(mean) else np.nan for mean, _ in scored]
        macro[f"{score}_macro"] = _figures(np.array(means))
    table = table_of(models, grouping.names, quantiles, intervals)
    unknown = None if subjects_are_known else np.ones(len(models.keys), bool)
    subjects = {name: pa.array(models.counts[name], pa.int64(), mask=unknown) for name in SUBJECTS}
    for name, column in {**macro, **subjects}.items():
        table = table.append_column(name, column)
    return table


def _figures(values: np.ndarray) -> pa.Array:
    return pa.array(values, pa.float64(), from_pandas=True)
