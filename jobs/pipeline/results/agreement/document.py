"""Agreement as one JSON document: null where a figure is undefined, never NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.pipeline.results.agreement.agreeing import (
    OF_ALPHA,
    OF_RHO,
    Agreement,
    Difference,
    People,
    Row,
    Section,
)
from jobs.pipeline.results.agreement.published import Checked
from jobs.pipeline.results.intervals import Estimate
from jobs.pipeline.results.numbers import number


def document(sections: Sequence[Section]) -> dict[str, Any]:
    """What `--json` prints: by section people, rows, and what is between them."""
    return {section.name: _section(section) for section in sections}


def document_of_check(checked: Sequence[Checked], tolerance: float) -> dict[str, Any]:
    """What `--json` prints of a check against published figures."""
    rows = [
        {**vars(each), "ours": number(each.ours), "difference": number(each.difference)}
        for each in checked
    ]
    is_met = all(abs(each.difference) <= tolerance for each in checked)
    return {"ok": is_met, "tolerance": tolerance, "figures": rows}


def _section(section: Section) -> dict[str, Any]:
    return {
        "human": {
            **_people(section.people),
            "level": section.protocol.level,
            "per_model": {
                model: _people(people) for model, people in section.people_per_model.items()
            },
        },
        "rows": [_row(row) for row in section.rows],
        "differences": [_difference(each) for each in section.differences],
        "n_rated": section.n_rated,
        "n_missing_ratings": section.n_missing,
        "left_out": _plain(section.left_out),
        "notes": list(section.notes),
    }


def _people(people: People) -> dict[str, Any]:
    return {
        "alpha": number(people.alpha),
        "ci": _interval(people.estimate, *OF_ALPHA),
        "kappa": None if people.kappa is None else number(people.kappa),
        "n": people.n,
        "n_ratings": people.n_ratings,
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        **_agreement(row.pooled),
        "rho_ci": _interval(row.rho, *OF_RHO),
        "n_concepts": len(row.rho_without),
        "per_model": {model: _agreement(own) for model, own in row.per_model.items()},
    }


def _agreement(found: Agreement) -> dict[str, Any]:
    return {
        "alpha": number(found.alpha),
        "rho": number(found.correlations.rho),
        "n": found.n,
        "ci": _interval(found.estimate, *OF_ALPHA),
        "pearson": number(found.correlations.pearson),
        "tau": number(found.correlations.tau),
        "auc": None if found.auc is None else number(found.auc),
    }


def _difference(found: Difference) -> dict[str, Any]:
    return {
        "first": found.first,
        "second": found.second,
        "alpha": number(found.alpha.mean),
        "ci": _interval(found.alpha),
        "p": number(found.alpha.p_value()),
        "rho": number(found.rho.mean),
        "rho_ci": _interval(found.rho),
        "rho_p": number(found.rho.p_value()),
    }


def _interval(
    estimate: Estimate, least: float = -math.inf, most: float = math.inf
) -> list[float | None]:
    found = estimate.interval().within(least, most)
    return [number(found.low), number(found.high)]


def _plain(nested: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {name: dict(causes) for name, causes in nested.items()}
