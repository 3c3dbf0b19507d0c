"""The verdict per model as people read it: in the terminal, and as Markdown.

Models are ranked by the product of their mean CP and mean PF, the figure that DreamBench++ ranks
by; models without one come last and have no rank. A column of rows that were not scored shows only
where some model has such rows.
"""

from __future__ import annotations

import html
import math
import sys
from typing import Any

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.pipeline.command.messages import printable

UNKNOWN_MODEL = "(unknown)"
"""The name that rows without a model (their JSON could not be read) go under."""
ABSENT = "–"  # noqa: RUF001 - the dash of a table, not a minus
NO_EDGE = 1_000
NOT_SCORED = {
    "n_skipped": "skipped",
    "n_error": "errors",
    "n_cp_nan": "CP NaN",
    "n_pf_nan": "PF NaN",
}


def leaderboard(model: pa.Table) -> Table:
    """The `model` table of a summary for the terminal, best model first."""
    headers, rows = _cells(model)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for header, *cells in zip(headers, *rows, strict=True):
        if header == "model":
            table.add_column(header, overflow="fold", min_width=len(UNKNOWN_MODEL))
        else:
            # A number cut short is another number: it keeps its width, the model's name folds.
            width = max(len(cell) for cell in [header, *cells])
            table.add_column(header, justify="right", no_wrap=True, min_width=width)
    for cells in rows:
        # Text, so that brackets in a model's name are not taken for rich's markup.
        table.add_row(*map(Text, cells))
    return table


def print_leaderboard(model: pa.Table) -> None:
    """Print the `model` table of a summary on stdout; a file or a pipe has no edge to fold at."""
    width = None if sys.stdout.isatty() else NO_EDGE
    Console(width=width).print(leaderboard(model), crop=False)


def markdown(model: pa.Table) -> str:
    """The `model` table of a summary as a Markdown document, best model first."""
    headers, rows = _cells(model)
    rules = [":--" if header == "model" else "--:" for header in headers]
    body = [[rank, _escape_markdown(name), *figures] for rank, name, *figures in rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in [headers, rules, *body])
    return (
        f"# Leaderboard\n\n{table}\n\n"
        "Means over samples. Intervals are 95 %, from a bootstrap over concepts. "
        "Ranked by CP×PF, the product of the two means.\n"  # noqa: RUF001 - a product
    )


def _cells(model: pa.Table) -> tuple[list[str], list[list[str]]]:
    """Headers and, best model first, each model's row of plain text."""
    models = sorted(model.to_pylist(), key=_rank_key)
    shown = [column for column in NOT_SCORED if any(row[column] for row in models)]
    headers = ["#", "model", "n", "CP (95 % CI)", "PF (95 % CI)", "CP×PF"]  # noqa: RUF001
    rows = [
        [
            str(rank) if _is_number(row["cp_x_pf"]) else ABSENT,
            UNKNOWN_MODEL if row["model"] is None else printable(row["model"]),
            f"{row['n']:,}",
            _with_interval(row, "cp"),
            _with_interval(row, "pf"),
            _number(row["cp_x_pf"]),
            *(f"{row[column]:,}" for column in shown),
        ]
        for rank, row in enumerate(models, start=1)
    ]
    return headers + [NOT_SCORED[column] for column in shown], rows


def _rank_key(row: dict[str, Any]) -> tuple[bool, float, bool, str]:
    figure = row["cp_x_pf"]
    ranked = _is_number(figure)
    return not ranked, -figure if ranked else 0.0, row["model"] is None, row["model"] or ""


def _with_interval(row: dict[str, Any], score: str) -> str:
    mean, low, high = (row[f"{score}_{column}"] for column in ("mean", "ci_low", "ci_high"))
    if not _is_number(low):
        return _number(mean)
    return f"{_number(mean)} [{_number(low)}, {_number(high)}]"


def _number(value: float | None) -> str:
    return f"{value:.3f}" if _is_number(value) else ABSENT


def _is_number(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _escape_markdown(text: str) -> str:
    """`text` so that Markdown shows it as it stands, within one cell.

    `_` stays: within a word it marks nothing up, and names are full of it.
    """
    marked = "".join(f"\\{char}" if char in "\\`*[]|~" else char for char in text)
    return html.escape(marked, quote=False)
