"""A comparison in the terminal: a table with the forest of its intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.pipeline.command.messages import console_for_results, printable
from jobs.pipeline.results.comparison import wording
from jobs.pipeline.results.comparison.comparing import ColumnVerdict, Comparison, Rules
from jobs.pipeline.results.comparison.verdict import Verdict
from jobs.pipeline.results.numbers import ABSENT, plain, signed

COLOURS = {
    Verdict.IMPROVED: "green",
    Verdict.SAME: "green",
    Verdict.UNDECIDED: "yellow",
    Verdict.REGRESSED: "red",
}
FOREST_WIDTH = 33


def print_comparisons(
    comparisons: Sequence[Comparison], rules: Rules, unmatched: Mapping[str, Sequence[str]]
) -> None:
    """Print all comparisons on stdout; a file or a pipe has no edge to fold at."""
    console = console_for_results(highlight=False)
    for comparison in comparisons:
        _print(console, comparison, rules.confidence)
    for side, models in unmatched.items():
        if models:
            listed = printable(", ".join(models))
            console.print(Text(f"only in the {side}, so not compared: {listed}"))


def forest(found: ColumnVerdict, least: float, most: float, width: int = FOREST_WIDTH) -> str:
    """An interval between the limits of a scale; `|` is no change, `:` the margin.

    Args:
        least, most: ends of the scale; they include 0.
    """
    if not math.isfinite(found.interval.low) or most <= least:
        return ""

    def place(value: float) -> int:
        share = (value - least) / (most - least)
        return round(min(1.0, max(0.0, share)) * (width - 1))

    cells = [" "] * width
    if found.margin is not None:
        cells[place(-found.margin)] = ":"
    cells[place(0.0)] = "|"
    low, high = place(found.interval.low), place(found.interval.high)
    for at in range(low, high + 1):
        cells[at] = "─"
    cells[low], cells[high] = "├", "┤"
    cells[place(found.interval.mean)] = "●"
    return "".join(cells)


def _print(console: Console, comparison: Comparison, confidence: float) -> None:
    verdict = comparison.verdict
    console.print(
        Text.assemble((f"{verdict}", f"bold {COLOURS[verdict]}"), "  ", _name(comparison))
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    least, most = _scale(list(comparison.columns.values()))
    for header in ("", "baseline", "change", "interval"):
        table.add_column(header, justify="left" if not header else "right", no_wrap=True)
    scale = f"{least:+.3f}".ljust(FOREST_WIDTH - 6) + f"{most:+.3f}"
    table.add_column(scale, no_wrap=True, min_width=FOREST_WIDTH)
    for header in ("margin", "MDE", "p"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for column, found in comparison.columns.items():
        word = found.verdict
        table.add_row(
            Text(printable(wording.title(column))),
            plain(found.baseline),
            signed(found.estimate.mean),
            Text(wording.interval(found)),
            Text(forest(found, least, most)),
            ABSENT if found.margin is None else f"{found.margin:g}",
            plain(found.mde),
            wording.p_value(found),
            Text(ABSENT if word is None else word, "" if word is None else COLOURS[word]),
        )
    console.print(table)
    for suspicion in comparison.evidence.suspicions:
        console.print(Text(f"! {printable(suspicion.text)}", "yellow"), soft_wrap=True)
    notes = [
        *wording.reasons(comparison),
        *wording.changed_concepts(comparison, confidence),
        *wording.changed_tags(comparison, confidence),
        wording.counts(comparison),
    ]
    for note in notes:
        console.print(Text(printable(note)), soft_wrap=True)


def _name(comparison: Comparison) -> Text:
    return Text(printable(comparison.name))


def _scale(columns: Sequence[ColumnVerdict]) -> tuple[float, float]:
    """The ends of what the intervals, zero and the margins take up."""
    ends = [0.0, *(-found.margin for found in columns if found.margin is not None)]
    for found in columns:
        ends += [e for e in (found.interval.low, found.interval.high) if math.isfinite(e)]
    return min(ends), max(ends)
