"""Agreement with people, as `jobs.agree` finds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.pages.board import Score
from jobs.pages.charts.scale import Tick, scale_of
from jobs.pipeline.results.agreement import wording
from jobs.pipeline.results.agreement.agreeing import OF_ALPHA, Section
from jobs.pipeline.results.agreement.tables import PEOPLE, ranked, tables, title
from jobs.pipeline.results.intervals import Interval
from jobs.pipeline.results.numbers import number
from jobs.pipeline.results.text_tables import TextTable

WIDTH = 300
EDGE = 10


@dataclass(frozen=True)
class People:
    """One question."""

    title: str
    sentences: list[str]
    rows: list[tuple[str, Score]]
    """People among one another, then the metrics, the best first."""
    ticks: list[Tick]
    tables: list[TextTable]
    notes: list[str]


def people_of(sections: Sequence[Section]) -> list[People]:
    """As the page shows them."""
    return [_people(section) for section in sections]


def _people(section: Section) -> People:
    own = section.people
    found = [(PEOPLE, own.alpha, own.estimate.interval().within(*OF_ALPHA))]
    found += [
        (row.name, row.pooled.alpha, row.pooled.estimate.interval().within(*OF_ALPHA))
        for row in ranked(section.rows)
    ]
    ends = [end for _, alpha, interval in found for end in (alpha, *_ends(interval))]
    scale = scale_of(ends, EDGE, WIDTH - EDGE)
    rows = []
    for name, alpha, interval in found:
        figures = [number(alpha), *_ends(interval)]
        drawn = (None if value is None else scale.at(value) for value in figures)
        rows.append((name, Score(*figures, *drawn)))
    return People(
        title(section),
        wording.sentences(section),
        rows,
        scale.ticks(4),
        tables(section),
        wording.notes(section),
    )


def _ends(interval: Interval) -> list[float | None]:
    return [number(interval.low), number(interval.high)]
