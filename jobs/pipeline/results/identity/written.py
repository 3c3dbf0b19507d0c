"""Identity as it is read: the table of all columns, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jobs.pipeline.results.identity.document import auc_interval
from jobs.pipeline.results.identity.identifying import Identity
from jobs.pipeline.results.intervals import Interval
from jobs.pipeline.results.numbers import ABSENT, counted, plain, signed
from jobs.pipeline.results.text_tables import TextTable, bullets, latex_table, markdown_table

MIN_SUBJECTS = 10
"""With fewer, intervals are said to be rough."""
FOOTNOTE = (
    "AUC: the chance that a pair of one subject scores above a pair of two, ties counting half; "
    "its interval is 95 %, over subjects, and DeLong's takes pairs for independent. Delta is of "
    "the means, and normalised where all scores go from 0 to 1. mAP: each generation ranks its own "
    "references; those of one sort only are left out. Deviations are the population's."
)
HEADERS = ("", "AUC", "95 % CI", "DeLong", "delta", "normalised", "within", "cross", "mAP", "n")


def table(found: Sequence[Identity]) -> TextTable:
    """Best AUC first."""
    order = np.argsort([-each.auc.mean for each in found], kind="stable")
    rows = []
    for own in (found[place] for place in order):
        within, cross = own.within, own.cross
        rows.append(
            [
                own.name,
                plain(own.auc.mean),
                _interval(auc_interval(own)),
                _interval(own.delong.within(0, 1)),
                signed(own.delta),
                signed(own.delta_normalised),
                f"{plain(float(within.mean()), 3)} ± {plain(float(within.std()), 3)}",
                f"{plain(float(cross.mean()), 3)} ± {plain(float(cross.std()), 3)}",
                plain(own.retrieval.mean),
                f"{len(within):,} + {len(cross):,}",
            ]
        )
    return TextTable("Pairs of one subject against pairs of two", HEADERS, rows)


def notes(found: Sequence[Identity], rows_left_out: Mapping[str, int]) -> list[str]:
    """What a reader should know of the data."""
    said = [
        f"pairs without a score of {e.name}: {counted(e.left_out)}" for e in found if e.left_out
    ]
    if rows_left_out:
        said.append(f"rows without pairs: {counted(rows_left_out)}")
    n_subjects = min(each.n_subjects for each in found)
    if n_subjects < MIN_SUBJECTS:
        said.append(f"{n_subjects} subjects only: intervals over subjects are rough")
    for each in found:
        if each.auc.mean in (0.0, 1.0):
            said.append(
                f"{each.name}: no pair of one sort lies among those of the other, so the data do "
                "not tell how wide the interval is"
            )
    return said


def markdown(found: Sequence[Identity], rows_left_out: Mapping[str, int]) -> str:
    """The document."""
    lines = notes(found, rows_left_out)
    blocks = ["# Same subject against another", markdown_table(table(found))]
    blocks += [bullets(lines)] if lines else []
    return "\n\n".join([*blocks, f"<sub>{FOOTNOTE}</sub>"]) + "\n"


def latex(found: Sequence[Identity]) -> str:
    """The table alone."""
    return latex_table(table(found)) + "\n"


def _interval(found: Interval) -> str:
    shown = plain(found.low, 3), plain(found.high, 3)
    return ABSENT if ABSENT in shown else f"[{shown[0]}, {shown[1]}]"
