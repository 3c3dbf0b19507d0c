"""The tables of a section, cell by cell, for all forms that are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from jobs.pipeline.results.agreement.agreeing import (
    OF_ALPHA,
    OF_RHO,
    Agreement,
    Difference,
    People,
    Row,
    Section,
)
from jobs.pipeline.results.agreement.aspects import MASC
from jobs.pipeline.results.agreement.published import Checked
from jobs.pipeline.results.intervals import Estimate
from jobs.pipeline.results.numbers import ABSENT, number, p_value, plain, signed
from jobs.pipeline.results.text_tables import TextTable

PEOPLE = "people"
TITLES = {"cp": "Concept preservation", "pf": "Prompt following"}


def title(section: Section) -> str:
    """What a section is about."""
    return TITLES.get(section.name, section.name)


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Best alpha first; those without one last."""
    alphas = [row.pooled.alpha for row in rows]
    order = np.argsort([-alpha for alpha in alphas], kind="stable")  # NaN comes last
    return [rows[place] for place in order]


def tables(section: Section) -> list[TextTable]:
    """All of a section: pooled, by model, and the differences from its first row."""
    found = [_pooled(section)]
    if len(section.people_per_model) > 1:
        found.append(_by_model(section, "alpha", lambda own: own.alpha))
    if section.rows and len(section.rows[0].per_model) > 1:
        rho = _by_model(section, "rho", lambda own: own.correlations.rho, with_people=False)
        found.append(rho)
    differences = differences_of_lead(section)
    if differences:
        found.append(_differences(differences))
    return found


def differences_of_lead(section: Section) -> list[Difference]:
    """Those of MaSC, or of the metric of the highest alpha where it is not there."""
    if not section.rows:
        return []
    names = [row.name for row in section.rows]
    lead = MASC if MASC in names else ranked(section.rows)[0].name
    return [
        each if each.first == lead else each.reversed()
        for each in section.differences
        if lead in (each.first, each.second)
    ]


def table_of_check(checked: Sequence[Checked]) -> TextTable:
    """Ours beside what is published."""
    rows = [
        [
            f"{each.model}, {each.pair}",
            signed(each.ours, 3),
            signed(each.published, 3),
            signed(each.difference, 3),
        ]
        for each in checked
    ]
    return TextTable("DreamBench++, Table 3", ["", "ours", "published", "difference"], rows)


def interval(
    estimate: Estimate, least: float = -math.inf, most: float = math.inf, digits: int = 3
) -> str:
    """Its ends, no farther out than the figure can be."""
    found = estimate.interval().within(least, most)
    if number(found.low) is None:
        return ABSENT
    return f"[{plain(found.low, digits)}, {plain(found.high, digits)}]"


def _pooled(section: Section) -> TextTable:
    with_auc = section.protocol.extremes is not None
    headers = ["", "alpha", "95 % CI", "rho", "95 % CI", "Pearson", "tau", "n"]
    people = section.people
    rows = [_people(people, len(headers))]
    for row in ranked(section.rows):
        own = row.pooled
        rows.append(
            [
                row.name,
                plain(own.alpha, 3),
                interval(own.estimate, *OF_ALPHA),
                plain(own.correlations.rho),
                interval(row.rho, *OF_RHO),
                plain(own.correlations.pearson),
                plain(own.correlations.tau),
                f"{own.n:,}",
            ]
        )
    if with_auc:
        headers.insert(-1, "AUC")
        rows[0].insert(-1, ABSENT)
        for cells, row in zip(rows[1:], ranked(section.rows), strict=True):
            cells.insert(-1, ABSENT if row.pooled.auc is None else plain(row.pooled.auc))
    return TextTable("All models", headers, rows)


def _people(people: People, width: int) -> list[str]:
    kappa = "" if people.kappa is None else f", kappa {plain(people.kappa, 3)}"
    cells = [f"{PEOPLE}{kappa}", plain(people.alpha, 3), interval(people.estimate, *OF_ALPHA)]
    return [*cells, *[ABSENT] * (width - 4), f"{people.n:,}"]


def _by_model(
    section: Section, what: str, of: Callable[[Agreement], float], with_people: bool = True
) -> TextTable:
    models = list(section.people_per_model)
    rows = []
    if with_people:
        people = [section.people_per_model[model] for model in models]
        rows.append([PEOPLE, *(plain(own.alpha, 3) for own in people)])
        if any(own.kappa is not None for own in people):
            kappas = [ABSENT if own.kappa is None else plain(own.kappa, 3) for own in people]
            rows.append([f"{PEOPLE}, Fleiss' kappa", *kappas])
    for row in ranked(section.rows):
        cells = [plain(of(row.per_model[m]), 3) if m in row.per_model else ABSENT for m in models]
        rows.append([row.name, *cells])
    return TextTable(f"By model, {what}", ["", *models], rows)


def _differences(differences: Sequence[Difference]) -> TextTable:
    rows = [
        [
            f"{each.first} - {each.second}",
            signed(each.alpha.mean),
            interval(each.alpha),
            p_value(each.alpha.p_value()),
            signed(each.rho.mean),
            interval(each.rho),
            p_value(each.rho.p_value()),
        ]
        for each in differences
    ]
    headers = ["", "alpha", "95 % CI", "p", "rho", "95 % CI", "p"]
    return TextTable("Differences, on the same samples", headers, rows)
