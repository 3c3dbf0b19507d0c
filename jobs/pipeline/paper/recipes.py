"""Recipes: a file a table, found and read, and what cannot be meant refused."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.pipeline.command.call import RECIPES, parse
from jobs.pipeline.command.settings import require_in_range, require_one_of
from jobs.pipeline.errors import CallError
from jobs.pipeline.paper.settings import ALPHA, DATA_OF, RecipeConfig
from jobs.pipeline.paper.systems import System, read_system
from jobs.pipeline.results.agreement.aspects import aspect_of
from masc_core.segmenters import SEGMENTERS

FOLDER = RECIPES / "paper"
"""Files are called ORDER_NAME.yaml."""


@dataclass(frozen=True)
class Row:
    """A row of a table, as its recipe asks for it."""

    name: str
    system: System
    minus: System | None
    published: float | None

    @property
    def systems(self) -> tuple[System, ...]:
        """Whose figures it needs."""
        return (self.system,) if self.minus is None else (self.system, self.minus)


@dataclass(frozen=True)
class Recipe:
    """A table to make."""

    name: str
    config: RecipeConfig
    rows: tuple[Row, ...]

    @property
    def data(self) -> str:
        """The data set that it is of."""
        return DATA_OF[self.config.figure]

    @property
    def systems(self) -> list[System]:
        """Of all rows, each once."""
        return list(dict.fromkeys(each for row in self.rows for each in row.systems))


def with_given_by(recipe: Recipe, segmenter: str | None) -> Recipe:
    """The same recipe where a segmenter has made the given masks.

    Its column is that of the given ones: they need not be made, and scored by, a second time.
    """

    def plain(system: System) -> System:
        is_given = system.member is not None and system.member == segmenter
        return read_system(system.name.partition("@")[0]) if is_given else system

    rows = [
        replace(
            row,
            system=plain(row.system),
            minus=None if row.minus is None else plain(row.minus),
        )
        for row in recipe.rows
    ]
    return replace(recipe, rows=tuple(rows))


def read_recipes(asked: list[str]) -> list[Recipe]:
    """The recipes of a call, in their order.

    Args:
        asked: names, or files; none means all that there are.

    Raises:
        CallError: there is none of that name, or one cannot be meant.
    """
    known = {_name_of(path): path for path in sorted(FOLDER.glob("*.yaml"))}
    if not asked and not known:
        raise CallError(f"recipes=: there are none in {FOLDER}; name files")
    paths = [_path_of(each, known) for each in asked] or list(known.values())
    found = [_read(path) for path in dict.fromkeys(paths)]
    names = [each.name for each in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise CallError(f"recipes=: two files are of the name {twice[0]}")
    return found


def _name_of(path: Path) -> str:
    order, _, name = path.stem.partition("_")
    return name if order.isdigit() else path.stem


def _path_of(asked: str, known: dict[str, Path]) -> Path:
    if asked.endswith((".yaml", ".yml")):
        return Path(asked).expanduser()
    if asked not in known:
        near = difflib.get_close_matches(asked, known, 1, 0)
        meant = f"; did you mean {near[0]!r}?" if near else f"; there are none in {FOLDER}"
        raise CallError(f"recipes={asked}: no such recipe{meant}")
    return known[asked]


def _read(path: Path) -> Recipe:
    config = parse([str(path)], RecipeConfig)
    if not config.rows:
        raise CallError(f"{path}: rows: a table has one or more")
    try:
        require_in_range(("min_fg_fraction", config.min_fg_fraction, 0.0, 1.0))
        if config.segmenter is not None:
            require_one_of("segmenter", config.segmenter, list(SEGMENTERS))
        rows = tuple(
            Row(
                name,
                read_system(row.system),
                None if row.minus is None else read_system(row.minus),
                row.published,
            )
            for name, row in config.rows.items()
        )
        _require_aspect(config, rows)
    except CallError as error:
        raise CallError(f"{path}: {error}") from error
    return Recipe(_name_of(path), config, rows)


def _require_aspect(config: RecipeConfig, rows: Sequence[Row]) -> None:
    """What answers one question is not held against what people said of the other.

    Raises:
        CallError: naming the row.
    """
    for row in rows if config.figure == ALPHA else ():
        for each in row.systems:
            of = aspect_of(each.name) if each.is_column else config.aspect
            if of not in (None, config.aspect):
                raise CallError(
                    f"rows: {row.name}: {each.name} is of {of}, and the table of {config.aspect}"
                )
