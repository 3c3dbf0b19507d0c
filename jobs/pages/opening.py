"""What a page says first: who leads, of what, and what to know before believing it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jobs.pages.about import About
from jobs.pages.cells import Cells
from jobs.pages.gathering import Figures
from jobs.pages.names import shown
from jobs.pipeline.results.groups import MOST_MODELS
from jobs.pipeline.results.leaderboard import RANKED_BY_SUM, SAME_LETTER

MOST_NAMED = 4


def lead(figures: Figures) -> str:
    """The one sentence that people read."""
    counts = figures.summary.counts
    if not counts.n_ok:
        return f"None of {_of(counts.n, 'row')} could be scored; the reasons are below."
    rows = {row["model"]: row for row in figures.summary.model.to_pylist()}
    best = rows[figures.ranked[0]]
    name = shown(best["model"])
    if best["cp_x_pf"] is None:
        return f"No model has both a CP and a PF; {name} comes first by name."
    has = f"CP {best['cp_mean']:.3f}, PF {best['pf_mean']:.3f}"
    if len(rows) == 1:
        return f"{name} has {has}, over {_of(best['n_ok'], 'sample')}."
    return f"{name} leads {_of(len(rows), 'model')}: {has}.{_told_apart(figures)}"


def _told_apart(figures: Figures) -> str:
    """Whether the first is first beyond chance."""
    letters, first = figures.summary.groups, figures.ranked[0]
    if len(figures.ranked) > MOST_MODELS:
        return " So many models are not told apart from one another."
    if not letters:
        return " Whether that is beyond chance, so few concepts do not tell."
    own = _letters(letters[first])
    alike = [shown(model) for model in figures.ranked[1:] if own & _letters(letters[model])]
    if not alike:
        return " It is told apart from all others."
    named = ", ".join(alike[:MOST_NAMED])
    more = f" and {len(alike) - MOST_NAMED} more" if len(alike) > MOST_NAMED else ""
    return f" It cannot be told apart from {named}{more}."


def _letters(text: str) -> set[str]:
    """Of a model; after z come a1 to z1.

    >>> sorted(_letters("ab1"))
    ['a', 'b1']
    """
    return set(re.findall(r"[a-z]\d*", text))


def facts(figures: Figures, runs: Sequence[About]) -> list[tuple[str, str]]:
    """Counts, a pair of number and word each."""
    counts = figures.summary.counts
    concepts = [name for name in figures.summary.concept["concept"].to_pylist() if name is not None]
    found = [
        (f"{counts.n:,}", "sample" if counts.n == 1 else "samples"),
        (f"{len(figures.ranked):,}", "model" if len(figures.ranked) == 1 else "models"),
        (f"{len(concepts):,}", "concept" if len(concepts) == 1 else "concepts"),
        (f"{counts.n_error:,}", "error" if counts.n_error == 1 else "errors"),
    ]
    if counts.n_skipped:
        found.append((f"{counts.n_skipped:,}", "skipped"))
    if len(runs) > 1:
        found.append((f"{len(runs)}", "runs"))
    return found


def warnings(
    figures: Figures, cells: Cells, runs: Sequence[About], further: Sequence[str]
) -> list[str]:
    """What a reader should know of the figures before trusting them."""
    said = [
        f"{run.name}: {how}, so these figures are not all of it"
        for run in runs
        if (how := run.early or f"its state is {run.state}")
        and run.state not in ("done", "unknown")
    ]
    said += [
        f"{run.name}: {_of(run.n_stale, 'part')} left out, as the shards of these are gone or have "
        "changed"
        for run in runs
        if run.n_stale
    ]
    said += figures.summary.notes
    if cells.n_concepts > len(cells.concepts):
        said.append(
            f"the page has cells of {len(cells.concepts):,} of {cells.n_concepts:,} concepts, "
            "those of the lowest CP; all are in summary/model_concept.parquet"
        )
    if cells.left_out:
        said.append(
            f"cells of {', '.join(cells.left_out)} have no room in the page; they are in "
            "summary/model_concept.parquet"
        )
    return [*said, *further]


def of_several_runs(models: Sequence[str]) -> list[str]:
    """That models of one name are one model here."""
    if not models:
        return []
    named = ", ".join(map(shown, models[:MOST_NAMED]))
    more = f" and {len(models) - MOST_NAMED} more" if len(models) > MOST_NAMED else ""
    return [
        f"more than one of the runs has {named}{more}: their rows count as one model's; baseline= "
        "holds a run against another"
    ]


def board_notes(figures: Figures) -> list[str]:
    """Of the ranking."""
    rows = figures.summary.model.to_pylist()
    is_by_sum = any(
        row["cp_x_pf"] is not None and min(row["cp_mean"], row["pf_mean"]) <= 0 for row in rows
    )
    said = [RANKED_BY_SUM] if is_by_sum else []
    return [*said, SAME_LETTER] if figures.summary.groups else said


def missing(figures: Figures) -> list[str]:
    """Scores that are undefined, by column."""
    rows = figures.summary.model.to_pylist()
    said = []
    for column in figures.columns:
        n = sum(row[f"n_{column}_nan"] for row in rows)
        if n:
            said.append(f"{column} is NaN in {_of(n, 'row')} that {'is' if n == 1 else 'are'} ok.")
    return said


def _of(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
