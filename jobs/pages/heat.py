"""Concept by model: a table whose cells are coloured, and a picture of all cells where they are
many."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from jobs.pages.cells import Cells
from jobs.pages.names import link_to, shown, title
from jobs.pipeline.results.leaderboard import ABSENT

COLOURS = (
    *("00285b", "053371", "273e6e", "3b496c", "4b546c", "5a5f6e", "686a71", "767676"),
    *("848279", "938e78", "a39a74", "b4a76f", "c4b468", "d5c25e", "e7d150", "f9e03a"),
)
"""Cividis (Nunez, Anderton & Renslow, 2018), which is read alike with and without colour vision."""
NOTHING = "bbbbbb"
MOST_ROWS = 60
"""Concepts in the table as the page is written; its script shows the others."""
MANY = 1_500
"""Cells from which on there is a picture of all."""


@dataclass(frozen=True)
class Cell:
    """One model's mean over one concept."""

    text: str
    level: int | None
    """Place in `COLOURS`."""


@dataclass(frozen=True)
class HeatLine:
    """One concept."""

    name: str
    key: str
    link: str
    mean: Cell
    cells: list[Cell]


@dataclass(frozen=True)
class Picture:
    """All cells of a column: a model a line, a concept a column of pixels, the lowest first."""

    title: str
    url: str
    n_models: int
    n_concepts: int
    height: int


@dataclass(frozen=True)
class Heat:
    """The table as it is written, and the pictures."""

    models: list[tuple[str, str]]
    """Name and link, best first."""
    lines: list[HeatLine]
    column: str
    """Of the table."""
    shown: list[int]
    """Places of its concepts in `Cells.concepts`."""
    ends: dict[str, tuple[float, float]]
    """By column, the figures of the first and the last colour."""
    pictures: list[Picture]


def heat(cells: Cells, first: str = "cp") -> Heat | None:
    """The table of one column, lowest mean first; None where nothing was scored."""
    ends = {column: ends_of(found) for column, found in cells.means.items()}
    if not cells.concepts or not cells.n.any():
        return None
    shown_column = first if np.isfinite(cells.means[first]).any() else list(cells.means)[1]
    found = cells.means[shown_column]
    means = _mean_over_models(found)
    order = np.argsort(means, kind="stable")[:MOST_ROWS]
    lines = [
        HeatLine(
            shown(cells.concepts[place]),
            cells.concepts[place] or "",
            link_to("concept", cells.concepts[place]),
            cell_of(means[place], ends[shown_column]),
            [cell_of(value, ends[shown_column]) for value in found[:, place]],
        )
        for place in order
    ]
    models = [(shown(model), link_to("model", model)) for model in cells.models]
    pictures = []
    if cells.n.size >= MANY:
        pictures = [_picture(cells, column, ends[column]) for column in ("cp", "pf")]
    return Heat(models, lines, shown_column, order.tolist(), ends, pictures)


def levels_of(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """Places in `COLOURS`; -1 of NaN."""
    least, most = ends
    share = (values - least) / (most - least) if most > least else np.zeros(values.shape)
    levels = np.clip(np.floor(share * len(COLOURS)), 0, len(COLOURS) - 1)
    return np.where(np.isfinite(values), levels, -1).astype(int)


def ends_of(values: np.ndarray) -> tuple[float, float]:
    """That colours span: all but the outermost of many, whose own would leave the rest one."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    least, most = (
        np.quantile(known, [0.01, 0.99]) if len(known) > 200 else (known.min(), known.max())
    )
    return float(least), float(most)


def _mean_over_models(values: np.ndarray) -> np.ndarray:
    """(C,) NaN where no model has one."""
    n = np.isfinite(values).sum(0)
    return np.divide(np.nansum(values, 0), n, out=np.full(len(n), np.nan), where=n > 0)


def cell_of(value: float, ends: tuple[float, float]) -> Cell:
    level = int(levels_of(np.array(value), ends))
    return Cell(ABSENT, None) if level < 0 else Cell(f"{value:.3f}", level)


def _picture(cells: Cells, column: str, ends: tuple[float, float]) -> Picture:
    values = cells.means[column]
    values = values[:, np.argsort(_mean_over_models(values), kind="stable")]
    levels = levels_of(values, ends)
    image = Image.fromarray(np.where(levels < 0, len(COLOURS), levels).astype(np.uint8), "P")
    image.putpalette(_palette((*COLOURS, NOTHING)))
    content = io.BytesIO()
    image.save(content, "png", optimize=True, bits=8)
    url = f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
    height = int(np.clip(10 * len(values), 60, 500))
    n_models, n_concepts = values.shape
    return Picture(title(column), url, n_models, n_concepts, height)


def _palette(colours: Sequence[str]) -> list[int]:
    return [int(colour[place : place + 2], 16) for colour in colours for place in (0, 2, 4)]
