"""The figures of a page as data, in the page: what its charts are drawn from, and equal `summary/`.

Numbers are JSON's, null where a figure is undefined. Those of cells are rounded to six decimals
where they are many.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jobs.pages.cells import DIGITS, Cells
from jobs.pages.gathering import Figures
from jobs.pages.heat import COLOURS, Heat
from jobs.pages.scatter import Scatter
from jobs.pipeline.results.comparison.wording import title
from jobs.pipeline.results.numbers import number

MOST_MODELS = 100
"""Whose means by tag the page holds."""


def data_of(
    figures: Figures, cells: Cells, heat: Heat | None, scatter: Scatter | None
) -> dict[str, Any]:
    """By the chart that shows them; models and concepts are named once, and otherwise their places
    in these lists."""
    summary = figures.summary
    by_name = {row["model"]: row for row in summary.document()["models"]}
    return {
        "columns": figures.columns,
        "titles": {column: title(column) for column in figures.columns},
        "counts": summary.document()["counts"],
        "models": [{**by_name[name], "group": summary.groups.get(name)} for name in figures.ranked],
        "concepts": _concepts(figures, cells),
        "cells": _cells(cells),
        "heat": {
            "levels": len(COLOURS),
            "column": None if heat is None else heat.column,
            "shown": [] if heat is None else heat.shown,
            "ends": {} if heat is None else {name: list(of) for name, of in heat.ends.items()},
        },
        "scatter": None if scatter is None else _scales(scatter),
        "distributions": {
            each.column: {
                "edges": each.edges.tolist(),
                "counts": [each.counts[name].tolist() for name in figures.ranked],
            }
            for each in figures.distributions
        },
        "tags": [
            {
                "by": table.by,
                "n_values": table.n_values,
                "values": [each.value for each in table.values],
                "n": [each.n for each in table.values],
                "n_ok": [each.n_ok for each in table.values],
                "means": {
                    column: [number(each.intervals[column].mean) for each in table.values]
                    for column in table.means
                },
                # Of the best models, where they are very many.
                "by_model": {
                    column: [_numbers(row) for row in means[:MOST_MODELS]]
                    for column, means in table.means.items()
                },
            }
            for table in figures.tags
        ],
        "reasons": [vars(each) for each in figures.reasons],
    }


def _concepts(figures: Figures, cells: Cells) -> dict[str, Any]:
    """Over all models; of the concepts that the page has."""
    table = figures.summary.concept
    kept = set(cells.concepts)
    places = [i for i, name in enumerate(table["concept"].to_pylist()) if name in kept]
    own = table.take(places)
    digits = None if cells.is_exact else DIGITS
    found: dict[str, Any] = {"concept": cells.concepts, "n_concepts": cells.n_concepts}
    found |= {name: own[name].to_pylist() for name in ("n", "n_ok", "n_skipped", "n_error")}
    for column in figures.columns:
        values = own[f"{column}_mean"].to_numpy().astype(float)
        found[f"{column}_mean"] = _numbers(values, digits)
    return found


def _cells(cells: Cells) -> dict[str, Any]:
    """Of each column a list a model, best model first, in the order of the concepts."""
    digits = None if cells.is_exact else DIGITS
    return {
        "n_ok": cells.n.tolist(),
        "means": {
            column: [_numbers(row, digits) for row in means]
            for column, means in cells.means.items()
        },
        "left_out": cells.left_out,
    }


def _scales(scatter: Scatter) -> dict[str, Any]:
    """Where figures lie in the drawing, for the concepts' points."""
    return {axis: vars(getattr(scatter, axis)) for axis in ("x", "y")} | {
        "copies": scatter.copies,
        "points": [[point.x, point.y] for point in scatter.points],
    }


def _numbers(values: np.ndarray, digits: int | None = None) -> list[float | None]:
    if digits is not None:
        values = np.round(values, digits)
    return [None if np.isnan(value) else value for value in values.tolist()]
