"""What all forms of an agreement say in the same words."""

from __future__ import annotations

from jobs.pipeline.results.agreement.agreeing import Section
from jobs.pipeline.results.agreement.tables import differences_of_lead, ranked, title
from jobs.pipeline.results.intervals import LEVEL
from jobs.pipeline.results.numbers import counted, p_value, plain, signed

MIN_CONCEPTS = 10
"""With fewer, intervals are said to be rough."""
FOOTNOTE = (
    "A metric's alpha is Krippendorff's on the interval level: the mean of its alphas with each "
    "rater, both brought to [0, 1]. rho is Spearman's, with the mean rating; tau is Kendall's "
    "tau-b. Every row is on the same samples. Intervals are 95 %, over concepts; p is of one "
    "difference, and not corrected for their number."
)


def notes(section: Section) -> list[str]:
    """What a reader should know of a section's data."""
    own = section.people
    said = [
        f"{section.n_rated:,} rated samples, of which {_n_common(section):,} have a value in every "
        f"column; alpha of people is {section.protocol.level}, over {own.n_ratings:,} ratings of "
        f"{own.n:,} samples"
    ]
    n_concepts = min([len(row.rho_without) for row in section.rows], default=MIN_CONCEPTS)
    if n_concepts < MIN_CONCEPTS:
        said.append(f"{n_concepts} concepts only: intervals and p are rough")
    if own.kappa is None:
        said.append("the raters are not complete, so there is no Fleiss' kappa")
    if section.n_missing:
        said.append(f"{section.n_missing:,} ratings are missing")
    for name, causes in section.left_out.items():
        said.append(f"samples without a value of {name}: {counted(causes)}")
    return [*said, *section.notes]


def sentences(section: Section) -> list[str]:
    """Which metrics differ, a sentence each."""
    said = []
    for each in differences_of_lead(section):
        found, p = each.alpha.interval(), each.alpha.p_value()
        if not p < 1 - LEVEL:
            continue
        word = "beats" if found.mean > 0 else "falls short of"
        said.append(
            f"{each.first} {word} {each.second}: alpha {signed(found.mean)} "
            f"[{signed(found.low)}, {signed(found.high)}], p {_p(p)}"
        )
    return said


def headline(section: Section) -> str:
    """A section in one line."""
    said = f"{title(section)}: alpha of people {plain(section.people.alpha, 3)}"
    best = ranked(section.rows)[:1]
    return said + "".join(f", of {row.name} {plain(row.pooled.alpha, 3)}" for row in best)


def _n_common(section: Section) -> int:
    return section.rows[0].pooled.n if section.rows else section.people.n


def _p(p: float) -> str:
    shown = p_value(p)
    return shown if shown.startswith("<") else f"= {shown}"
