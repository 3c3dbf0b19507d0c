"""Rows of runs, and ratings, to the figures of a table."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

import numpy as np

from jobs.pipeline.errors import CallError
from jobs.pipeline.paper.recipes import Recipe, Row
from jobs.pipeline.paper.systems import NO_DATA, NOT_SCORED, Kind, System
from jobs.pipeline.results.agreement.agreeing import (
    OF_ALPHA,
    Agreement,
    People,
    Section,
    agree,
    left_out,
)
from jobs.pipeline.results.agreement.alpha import INTERVAL
from jobs.pipeline.results.agreement.dreambenchplus import ShippedRatings
from jobs.pipeline.results.agreement.protocols import of_dreambenchplus
from jobs.pipeline.results.agreement.ratings import Column, Ratings
from jobs.pipeline.results.agreement.scored import columns_of_runs
from jobs.pipeline.results.agreement.wording import MIN_CONCEPTS
from jobs.pipeline.results.identity.document import auc_interval
from jobs.pipeline.results.identity.identifying import identify
from jobs.pipeline.results.identity.pairs import paired_columns, read_pairs
from jobs.pipeline.results.identity.written import MIN_SUBJECTS
from jobs.pipeline.results.intervals import Estimate
from jobs.pipeline.results.numbers import counted
from jobs.pipeline.results.paper.moves import Moves, moves
from jobs.pipeline.results.paper.tables import Figure, PaperRow
from jobs.pipeline.run.rows import OK
from jobs.pipeline.run.scores import Scores

log = logging.getLogger(__name__)


@dataclass
class Found:
    """Figures of systems by their names; and of those that have none, why."""

    figures: dict[str, Figure] = field(default_factory=dict)
    differences: dict[tuple[str, str], Figure] = field(default_factory=dict)
    """Of the figures of two, the first minus the second."""
    why_not: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def row(self, row: Row) -> PaperRow:
        """What came of a row."""
        named = " - ".join(each.name for each in row.systems)
        reasons = [self.why_not[each.name] for each in row.systems if each.name in self.why_not]
        if reasons:
            return PaperRow(row.name, named, None, row.published, reasons[0])
        if row.minus is None:
            figure = self.figures[row.system.name]
        elif (row.system.name, row.minus.name) not in self.differences:
            why = f"{NOT_SCORED}: there is no difference of these two"
            return PaperRow(row.name, named, None, row.published, why)
        else:
            figure = self.differences[row.system.name, row.minus.name]
        if not isfinite(figure.value):
            why = f"undefined over {figure.n} samples"
            return PaperRow(row.name, named, None, row.published, why)
        return PaperRow(row.name, named, figure, row.published)


def columns_that_are_there(
    recipe: Recipe, scores: Scores | None, problems: Mapping[str, str], found: Found
) -> list[System]:
    """The systems of a recipe that are columns of the run; why the others are not joins `found`."""
    there = []
    for each in recipe.systems:
        if not each.is_column:
            continue
        if scores is not None and scores.n_parts_with(each.name):
            there.append(each)
        else:
            found.why_not[each.name] = problems.get(each.name, NOT_SCORED)
    return there


def alphas(recipe: Recipe, tree: Path, scores: Scores | None, problems: Mapping[str, str]) -> Found:
    """Agreement with the people of DreamBench++, every row on the same keys."""
    found = Found()
    _note_unknown(recipe, problems, found)
    aspect = recipe.config.aspect
    columns = columns_that_are_there(recipe, scores, problems, found)
    others = [each for each in recipe.systems if each.kind in (Kind.PEOPLE, Kind.SHIPPED)]
    shipped = ShippedRatings(str(tree))
    try:
        ratings = shipped.people(aspect)
        if ratings is None:
            raise CallError(f"no ratings of {aspect} by both groups")
    except CallError as error:
        _nothing(found, [*columns, *others], f"{NO_DATA}: {error}")
        return found
    by_name: dict[str, Column] = {}
    if scores is not None and columns:
        by_name |= _with_values(columns, scores, ratings, found)
    models = list(dict.fromkeys(sample.model for sample in ratings.samples))
    for each in others:
        if each.kind is Kind.SHIPPED:
            column = shipped.metric(aspect, each.shipped, models)
            if column is None:
                found.why_not[each.name] = f"{NO_DATA}: {shipped.shown} has no such ratings"
            else:
                by_name[each.name] = column
    try:
        section = agree(
            aspect, ratings, list(by_name.values()), of_dreambenchplus(INTERVAL), found.notes
        )
    except CallError as error:
        _nothing(
            found, [*(s for s in columns if s.name in by_name), *others], f"{NO_DATA}: {error}"
        )
        return found
    _fill(recipe, found, section, by_name)
    return found


def _with_values(
    columns: Sequence[System], scores: Scores, ratings: Ratings, found: Found
) -> dict[str, Column]:
    """By system, what the run says of rated samples; without those of which it says nothing."""
    names = [each.name for each in columns]
    try:
        read, n_not_rated = columns_of_runs(
            scores, names, ratings.samples, has_seed=False, keeps_last=True
        )
    except CallError as error:
        _nothing(found, columns, f"{NO_DATA}: {error}")
        return {}
    if n_not_rated:
        found.notes.append(f"{n_not_rated:,} scored samples are rated by nobody")
    kept = {}
    for name, column in zip(names, read, strict=True):
        if set(ratings.samples).isdisjoint(column.values):
            causes = counted(left_out(ratings.samples, column))
            found.why_not[name] = f"{NOT_SCORED}: no rated sample has a value: {causes}"
        else:
            kept[name] = column
    return kept


def _fill(recipe: Recipe, found: Found, section: Section, by_name: Mapping[str, Column]) -> None:
    rows = {row.name: row for row in section.rows}
    places = {name: column.name for name, column in by_name.items()}
    people = section.people
    found.figures["human"] = _alpha(people)
    for name, place in places.items():
        found.figures[name] = _alpha(rows[place].pooled)
    for first, second in _differences_asked(recipe):
        if first in places and second in places and first != second:
            one, other = rows[places[first]], rows[places[second]]
            interval = _difference(section, one.name, other.name).interval()
            value = one.pooled.alpha - other.pooled.alpha
            found.differences[first, second] = Figure(value, interval, one.pooled.n)
    n_common = section.rows[0].pooled.n if section.rows else people.n
    found.notes.insert(
        0,
        f"{section.n_rated:,} rated samples, of which {n_common:,} have a value in every row; "
        "each row is over these",
    )
    found.notes += _note_n(recipe, n_common, "keys")
    n_concepts = min([len(row.rho_without) for row in section.rows], default=MIN_CONCEPTS)
    if n_concepts < MIN_CONCEPTS:
        found.notes.append(f"{n_concepts} concepts only: intervals are rough")
    alike: dict[str, list[str]] = {}
    for name, causes in section.left_out.items():
        alike.setdefault(counted(causes), []).append(name)
    for causes_in_words, names in alike.items():
        found.notes.append(f"samples without a value of {', '.join(names)}: {causes_in_words}")
    found.notes += [note for note in section.notes if note not in found.notes]


def _alpha(of: Agreement | People) -> Figure:
    return Figure(of.alpha, of.estimate.interval().within(*OF_ALPHA), of.n)


def _differences_asked(recipe: Recipe) -> list[tuple[str, str]]:
    return [(row.system.name, row.minus.name) for row in recipe.rows if row.minus is not None]


def _note_n(recipe: Recipe, n: int, of: str) -> list[str]:
    """A difference from a published figure says little where the two are of other data."""
    published = recipe.config.published_n
    if published is None or n == published:
        return []
    return [f"the published figures are over {published:,} {of}, these over {n:,}"]


def _difference(section: Section, first: str, second: str) -> Estimate:
    for each in section.differences:
        if (each.first, each.second) == (first, second):
            return each.alpha
        if (each.first, each.second) == (second, first):
            return each.reversed().alpha
    raise KeyError(first, second)


def aucs(recipe: Recipe, scores: Scores | None, problems: Mapping[str, str]) -> Found:
    """Pairs of one subject against pairs of two."""
    found = Found()
    _note_unknown(recipe, problems, found)
    columns = columns_that_are_there(recipe, scores, problems, found)
    others = [each for each in recipe.systems if each.kind in (Kind.PEOPLE, Kind.SHIPPED)]
    _nothing(found, others, "ORIDa has no ratings")
    if scores is None:
        return found
    paired = paired_columns(scores)
    _nothing(found, [s for s in columns if s.name not in paired], "compares no image with another")
    names = [each.name for each in columns if each.name in paired]
    if not names:
        return found
    try:
        pairs = read_pairs(scores, names)
    except CallError as error:
        _nothing(found, columns, f"{NO_DATA}: {error}")
        return found
    for each in identify(pairs, names):
        n = len(each.within) + len(each.cross)
        found.figures[each.name] = Figure(each.auc.mean, auc_interval(each), n)
        if each.left_out:
            found.notes.append(f"pairs without a score of {each.name}: {counted(each.left_out)}")
    for name in names:
        if name not in found.figures:
            causes = counted(pairs.left_out.get(name, {})) or "too few pairs"
            found.why_not[name] = f"{NOT_SCORED}: no pair of each sort has a score: {causes}"
    for first, second in _differences_asked(recipe):
        if first in found.figures and second in found.figures:
            one, other = found.figures[first], found.figures[second]
            found.differences[first, second] = Figure(one.value - other.value, None, one.n)
    n_within, n = int(pairs.is_within.sum()), len(pairs.is_within)
    found.notes.insert(0, f"{n_within:,} pairs within subjects, {n - n_within:,} across")
    found.notes += _note_n(recipe, n, "pairs")
    n_subjects = len(np.unique(pairs.subjects[:, 0]))
    if n_subjects < MIN_SUBJECTS:
        found.notes.append(f"{n_subjects} subjects only: intervals are rough")
    if pairs.rows_left_out:
        found.notes.append(f"rows without pairs: {counted(pairs.rows_left_out)}")
    return found


def moves_of(recipe: Recipe, scores: Scores | None) -> Moves | None:
    """How far the masks of a recipe move samples; None where it does not ask, or there are none."""
    masks = [each for each in recipe.systems if each.kind is Kind.MASK]
    if not recipe.config.moves or scores is None:
        return None
    masks = [each for each in masks if scores.n_parts_with(each.name)]
    given = recipe.config.aspect
    if not masks or not scores.n_parts_with(given):
        return None
    table = scores.select([given, *(each.name for each in masks)]).table()
    is_ok = np.array([status == OK for status in table["status"].to_pylist()], bool)
    values = {
        name: np.array(table[name].to_pylist(), float)[is_ok]
        for name in (given, *(each.name for each in masks))
    }
    keys = [key for key, ok in zip(table["key"].to_pylist(), is_ok, strict=True) if ok]
    return moves(keys, values[given], {each.mask: values[each.name] for each in masks})


def _note_unknown(recipe: Recipe, problems: Mapping[str, str], found: Found) -> None:
    for each in recipe.systems:
        if each.kind is Kind.UNKNOWN:
            found.why_not[each.name] = problems[each.name]


def _nothing(found: Found, systems: Sequence[System], why: str) -> None:
    for each in systems:
        found.why_not.setdefault(each.name, why)
