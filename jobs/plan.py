"""`python -m jobs.plan run=RUN`: how many concepts, prompts and seeds a difference takes."""

from __future__ import annotations

import json
import logging
import math
import sys

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.messages import console_for_results, printable
from jobs.pipeline.planning import ColumnPlan, Plan, PlanConfig, plan
from jobs.pipeline.results.curve import curves
from jobs.pipeline.results.numbers import plain
from jobs.pipeline.results.sample_size import Design, detectable
from jobs.pipeline.storage.filesystem import refuse_for_results
from jobs.pipeline.storage.writing import write_files

log = logging.getLogger(__name__)

MOST_DESIGNS = 6
"""Printed of each column; all are in the JSON."""


def plan_command(config: PlanConfig, as_json: bool) -> int:
    """From the variance between concepts, prompts and seeds (REML): what a difference takes.

    With a second run of the same model and other seeds it proposes the margins of the gate.
    """
    if config.out is not None:
        refuse_for_results(config.out, "out")
    found = plan(config)
    text = json.dumps(found.document(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if config.out is not None:
        write_files(config.out, {"plan.json": text.encode(), "plan.svg": _figure(found)})
    if as_json:
        sys.stdout.write(text)
    else:
        _print(found)
    return EXIT_DONE


def _figure(found: Plan) -> bytes:
    """What is seen, by the number of concepts; prompts and seeds as they are."""
    most = max(1_000, 2 * found.size.concepts)
    concepts = np.unique(np.geomspace(5, most, 60).astype(int)).tolist()
    lines = {}
    for name, column in found.columns.items():
        if column.components is not None:
            lines[name] = [
                detectable(
                    column.components,
                    Design(n, found.size.prompts, found.size.seeds),
                    found.level,
                    found.power,
                )
                for n in concepts
            ]
    return curves(
        concepts,
        lines,
        f"concepts, of {found.size.prompts} prompts and {found.size.seeds} seeds each",
        f"difference seen with {found.power:.0%} power",
        (found.effect, f"effect {found.effect:g}"),
    )


def _print(found: Plan) -> None:
    console = console_for_results(highlight=False)
    of = "paired differences" if found.paired_by else "scores"
    size = found.size
    console.print(
        f"{size.concepts:,} concepts x {size.prompts} prompts x {size.seeds} seeds; variances of "
        f"{of} by REML; power {found.power:.0%} at a level of {100 * found.level:.4g} %"
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    headers = ["", "sd concepts", "sd prompts", "sd seeds", "seen now"]
    margins = any(each.margin is not None for each in found.columns.values())
    for header in [*headers, *(["margin to take"] if margins else [])]:
        table.add_column(header, justify="right" if header else "left", no_wrap=True)
    for name, column in found.columns.items():
        shown = column.of_scores or column.components
        deviations = (
            [f"{math.sqrt(value):.4f}" for value in vars(shown).values()] if shown else ["-"] * 3
        )
        cells = [printable(name), *deviations, plain(column.now)]
        table.add_row(*cells, *([_margin(column)] if margins else []))
    console.print(table)
    if found.paired_by is None:
        console.print(
            "One run: what concepts and prompts add is taken to cancel in a pair; baseline= says "
            "whether it does."
        )
    elif any(each.margin is None and each.components for each in found.columns.values()):
        console.print("A column of the two runs differs, so they are no A/A pair: no margin of it.")
    for name, column in found.columns.items():
        console.print(Text(f"\n{printable(name)}: to see {found.effect:g}"))
        console.print(_designs(found, column))


def _margin(column: ColumnPlan) -> str:
    return "-" if column.margin is None else f"{column.margin:g}"


def _designs(found: Plan, column: ColumnPlan) -> Table | str:
    if not column.designs:
        if column.components:
            return "no number of concepts does"
        of = "scores of the two runs" if found.paired_by else "samples of a concept"
        return f"the rows do not tell: no two {of} differ"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for header in ("concepts", "prompts", "seeds", "images", "GPU seconds", "dollars"):
        table.add_column(header, justify="right", no_wrap=True)
    for design in column.designs[:MOST_DESIGNS]:
        numbers = (design.concepts, design.prompts, design.seeds, design.images)
        seconds, dollars = (
            found.prices.gpu_seconds(design.images),
            found.prices.dollars(design.images),
        )
        table.add_row(
            *(f"{n:,}" for n in numbers),
            "-" if seconds is None else f"{seconds:,.0f}",
            "-" if dollars is None else f"{dollars:,.2f}",
        )
    return table


def main() -> int:
    """The command line."""
    return run_command("plan", PlanConfig, plan_command, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
