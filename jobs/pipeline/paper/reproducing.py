"""The paper's tables: for `jobs.paper`, and for others to call.

1. Recipes are read, and it is found out which of their systems can be had.
2. Each data set is packed, and given the masks that it lacks, unless that is done.
3. One pass a data set scores it by whatever its tables ask for; a run gains columns.
4. Rows and ratings become tables, ours beside the published figures.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from jobs.pipeline.cluster.config import check_workers_and_limits
from jobs.pipeline.errors import CallError
from jobs.pipeline.paper.figures import alphas, aucs, moves_of
from jobs.pipeline.paper.recipes import Recipe, read_recipes, with_given_by
from jobs.pipeline.paper.scoring import Scored, score, worst_status
from jobs.pipeline.paper.settings import (
    ALPHA,
    AUC,
    DREAMBENCHPLUS,
    ORIDA,
    TIME,
    PaperConfig,
)
from jobs.pipeline.paper.shards import (
    Shards,
    Unavailable,
    packed_shards,
    with_given_masks,
    with_members,
)
from jobs.pipeline.paper.systems import System, members_of, problems_of
from jobs.pipeline.paper.timing import times
from jobs.pipeline.results.paper.tables import PaperTable
from jobs.pipeline.storage.filesystem import absolute, refuse_for_results
from masc_core.segmenters import SEGMENTERS

log = logging.getLogger(__name__)

FIGURES = {
    ALPHA: "Krippendorff's alpha with people",
    AUC: "AUC of pairs within subjects against pairs across",
    TIME: "median milliseconds of one pair",
}


@dataclass(frozen=True)
class Paper:
    """All tables."""

    tables: Sequence[PaperTable]
    exit_status: int


@dataclass(frozen=True)
class _Group:
    """Recipes that one pass over one directory of shards scores for."""

    shards: Shards
    recipes: tuple[Recipe, ...]


class _DataSet:
    """One data set, its groups of recipes, and their runs."""

    def __init__(self, config: PaperConfig, recipes: Sequence[Recipe], problems: dict[str, str]):
        self._config, self._problems = config, problems
        self._scored: dict[str, Scored] = {}
        self._why_not: dict[str, str] = {}
        self._lacks: dict[str, tuple[str, ...]] = {}
        self._recipes = {recipe.name: recipe for recipe in recipes}
        self._of_masks: dict[str, dict[str, str]] = {}
        for group in self._groups(recipes):
            self._score(group)

    def recipe(self, name: str) -> Recipe:
        """As it is asked of the shards that there are."""
        return self._recipes[name]

    def scored(self, recipe: Recipe) -> Scored | None:
        """The run that a recipe's figures are of; None where there is none."""
        return self._scored.get(recipe.name)

    def problems(self, recipe: Recipe) -> dict[str, str]:
        """By system, why it cannot be had."""
        run, why = self.scored(recipe), self._why_not.get(recipe.name)
        without = {} if why is None else {s.name: why for s in recipe.systems if s.is_column}
        of_run = run.problems if run is not None else {}
        masks = self._of_masks.get(recipe.name, {})
        of_masks = {s.name: masks[s.member] for s in recipe.systems if s.member in masks}
        return {**without, **of_masks, **of_run, **self._problems}

    def notes(self, recipe: Recipe) -> list[str]:
        """What is to be said of the data."""
        run = self.scored(recipe)
        lacks = [f"the data set: {line}" for line in self._lacks.get(recipe.name, ())]
        return [*(run.notes if run is not None else ()), *lacks]

    def exit_statuses(self) -> list[int]:
        """Of all runs."""
        return [each.exit_status for each in self._scored.values()]

    def _groups(self, recipes: Sequence[Recipe]) -> list[_Group]:
        """Recipes by the shards that they are scored on."""
        grouped: dict[str, _Group] = {}
        # Each is asked for once, as a call of several tables asks for the same again and again.
        packed = cache(partial(packed_shards, self._config))
        masked = cache(partial(with_given_masks, self._config))
        with_more = cache(partial(with_members, self._config))
        for recipe in recipes:
            try:
                shards = packed(recipe.data)
                self._lacks[recipe.name] = shards.notes
                shards = masked(shards, recipe.config.segmenter)
                self._lacks[recipe.name] = shards.notes
            except Unavailable as error:
                self._why_not[recipe.name] = str(error)
                continue
            recipe = self._recipes[recipe.name] = with_given_by(recipe, shards.given_by)
            members = members_of(recipe.systems)
            shards, self._of_masks[recipe.name] = with_more(shards, members)
            before = grouped.get(shards.name, _Group(shards, ()))
            grouped[shards.name] = replace(before, recipes=(*before.recipes, recipe))
        return list(grouped.values())

    def _score(self, group: _Group) -> None:
        settings = {recipe.config.min_fg_fraction for recipe in group.recipes}
        names = ", ".join(recipe.name for recipe in group.recipes)
        if len(settings) > 1:
            raise CallError(f"recipes={names}: share a run, and differ in min_fg_fraction")
        systems: list[System] = [s for recipe in group.recipes for s in recipe.systems]
        problems = dict(self._problems)
        for recipe in group.recipes:
            masks = self._of_masks[recipe.name]
            problems |= {s.name: masks[s.member] for s in systems if s.member in masks}
        try:
            found = score(self._config, group.shards, settings.pop(), systems, problems)
        except Unavailable as error:
            self._why_not |= {recipe.name: str(error) for recipe in group.recipes}
            return
        self._scored |= {recipe.name: found for recipe in group.recipes}


def reproduce(config: PaperConfig) -> Paper:
    """Make the tables, or go on with them.

    Raises:
        CallError: the call or a recipe cannot be meant, or there is neither data set.
        Incomplete: it stopped; the same call goes on from there.
        StorageError: `out` cannot be written to, or a run not be read.
    """
    check_workers_and_limits(config.workers, config.limits)
    refuse_for_results(config.out, "out")
    config = replace(config, out=absolute(config.out))
    for name in config.segmenters:
        if name not in SEGMENTERS:
            raise CallError(f"segmenters.{name}: no such segmenter; known: {', '.join(SEGMENTERS)}")
    data = Path(config.data).expanduser()
    if not any((data / name).is_dir() for name in (DREAMBENCHPLUS, ORIDA)):
        raise CallError(f"data={config.data}: has neither {DREAMBENCHPLUS}/ nor {ORIDA}/ in it")
    recipes = read_recipes(config.recipes)
    problems = problems_of(config, (each for recipe in recipes for each in recipe.systems))
    scored = [recipe for recipe in recipes if recipe.config.figure != TIME]
    sets = {
        name: _DataSet(config, [r for r in scored if r.data == name], problems)
        for name in dict.fromkeys(recipe.data for recipe in scored)
    }
    tables = [
        _timed(recipe, config, data, problems)
        if recipe.config.figure == TIME
        else _table(recipe, data, sets[recipe.data])
        for recipe in recipes
    ]
    statuses = [status for each in sets.values() for status in each.exit_statuses()]
    return Paper(tables, worst_status(statuses))


def _timed(recipe: Recipe, config: PaperConfig, data: Path, problems: dict[str, str]) -> PaperTable:
    rows, notes = times(recipe, config, data / DREAMBENCHPLUS, problems)
    title = recipe.config.title
    return PaperTable(recipe.name, title, FIGURES[TIME], rows, notes, digits=1)


def _table(recipe: Recipe, data: Path, of: _DataSet) -> PaperTable:
    title, figure = recipe.config.title, recipe.config.figure
    recipe = of.recipe(recipe.name)
    run, problems = of.scored(recipe), of.problems(recipe)
    scores = None if run is None else run.scores
    if figure == ALPHA:
        found = alphas(recipe, data / DREAMBENCHPLUS, scores, problems)
    else:
        found = aucs(recipe, scores, problems)
    rows = [found.row(row) for row in recipe.rows]
    notes = [*found.notes, *of.notes(recipe)]
    return PaperTable(recipe.name, title, FIGURES[figure], rows, notes, moves_of(recipe, scores))
