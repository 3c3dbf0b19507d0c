"""The verdict per model as people read it: in the terminal, and as Markdown.

Models whose mean CP and mean PF are both positive are ranked by the product of the two, the figure
that DreamBench++ ranks by. Of two means that are not positive a product says nothing (the worse
they are, the higher it is), so those models follow, by the sum of their means; models without one
of the means come last and have no rank. A column of rows that were not scored, or whose prompt kept
its subject, shows only where some model has such rows.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from jobs.pipeline.command.messages import NO_EDGE, console_for_results, printable

UNKNOWN_MODEL = "(unknown)"
"""The name that rows without a model (their JSON could not be read) go under."""
ABSENT = "–"  # noqa: RUF001 - the dash of a table, not a minus
PRODUCT = "CP×PF"  # noqa: RUF001 - a product
INDENT = "   "
RANKED_BY_SUM = (
    f"Models with a mean that is not positive stand after the others, by the sum of their means; "
    f"their {PRODUCT} ranks nothing."
)
SAME_LETTER = "Models that share a letter cannot be told apart, neither in CP nor in PF."
NO_GROUPS: Mapping[str | None, str] = {}


Groups = Mapping[str | None, str]
"""By model, letters; models that share one cannot be told apart."""


def leaderboard(
    model: pa.Table, further: Sequence[str] = (), groups: Groups = NO_GROUPS
) -> Leaderboard:
    """The `model` table of a summary for the terminal, best model first.

    Args:
        model: as `Summary.model`.
        further: score columns to show beside CP and PF; a dash where there are none yet.
        groups: as `Summary.groups`.
    """
    notes = [RANKED_BY_SUM] if _has_rank_by_sum(model) else []
    notes += [SAME_LETTER] if groups else []
    return Leaderboard(*_cells(model, further, groups), notes)


def print_leaderboard(
    model: pa.Table, further: Sequence[str] = (), groups: Groups = NO_GROUPS
) -> None:
    """Print the `model` table of a summary on stdout; a file or a pipe has no edge to fold at."""
    console_for_results().print(leaderboard(model, further, groups), crop=False)


def ranked_models(model: pa.Table) -> list[str | None]:
    """The models of a summary, best first."""
    return [row["model"] for row in sorted(model.to_pylist(), key=_rank_key)]


def markdown(model: pa.Table, notes: Iterable[str] = (), groups: Groups = NO_GROUPS) -> str:
    """The `model` table of a summary as a Markdown document, with all its score columns.

    Args:
        model: as `Summary.model`.
        notes: lines to stand below.
        groups: as `Summary.groups`.
    """
    headers, rows = _cells(model, further_scores(model), groups)
    rules = [":--" if header == "model" else "--:" for header in headers]
    body = [[rank, escape_markdown(name), *figures] for rank, name, *figures in rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in [headers, rules, *body])
    listed = "".join(f"\n- {escape_markdown(printable(note))}." for note in notes)
    return (
        f"# Leaderboard\n\n{table}\n\n"
        "Means over samples. Intervals are 95 %, over concepts; a dash is too few concepts to "
        f"tell. Ranked by {PRODUCT}, the product of the two means. {RANKED_BY_SUM}"
        + (f" {SAME_LETTER}\n" if groups else "\n")
        + (f"{listed}\n" if listed else "")
    )


def further_scores(model: pa.Table) -> list[str]:
    """The score columns of a summary's `model` table, but for CP and PF."""
    ending = "_macro"
    scores = [name.removesuffix(ending) for name in model.column_names if name.endswith(ending)]
    return [score for score in scores if score not in ("cp", "pf")]


@dataclass(frozen=True)
class Leaderboard:
    """What rich prints: a table where names have room beside the figures, else line below line."""

    headers: list[str]
    rows: list[list[str]]
    """A rank, a model and its figures each."""
    notes: list[str]
    """What is said below."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A number cut short is another number: it keeps its width, whatever the terminal's."""
        table = self._table()
        if (
            console.measure(table, options=options.update(width=NO_EDGE)).minimum
            <= options.max_width
        ):
            yield table
        else:
            yield from self._stacked()
        for note in self.notes:
            yield Text(note, style="dim")

    def _table(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
        for header, *cells in zip(self.headers, *self.rows, strict=True):
            if header == "model":
                table.add_column(header, overflow="fold", min_width=len(UNKNOWN_MODEL))
            else:
                width = max(len(cell) for cell in [header, *cells])
                table.add_column(header, justify="right", no_wrap=True, min_width=width)
        for cells in self.rows:
            # Text, so that brackets in a model's name are not taken for rich's markup.
            table.add_row(*map(Text, cells))
        return table

    def _stacked(self) -> Iterable[Text]:
        width = max(map(len, self.headers[2:]))
        for rank, name, *figures in self.rows:
            yield Text(f"{rank} {name}", overflow="fold")
            for header, figure in zip(self.headers[2:], figures, strict=True):
                yield Text(f"{INDENT}{header:<{width}} {figure}", overflow="fold")


def _cells(
    model: pa.Table, further: Sequence[str], groups: Groups
) -> tuple[list[str], list[list[str]]]:
    """Headers and, best model first, each model's row of plain text."""
    models = sorted(model.to_pylist(), key=_rank_key)
    titles = {"cp": "CP", "pf": "PF", **{score: score for score in further}}
    not_scored = {
        "n_skipped": "skipped",
        "n_error": "errors",
        **{f"n_{score}_nan": f"{title} NaN" for score, title in titles.items()},
        "n_subject_missing": "subject missing",
        "n_subject_not_found": "subject not found",
    }
    shown = [column for column in not_scored if any(row.get(column) for row in models)]
    intervals = [f"{title} (95 % CI)" for title in titles.values()]
    letters = ["group"] if groups else []
    headers = ["#", "model", "n", *intervals[:2], PRODUCT, *letters, *intervals[2:]]
    rows = []
    for rank, row in enumerate(models, start=1):
        figures = [_with_interval(row, score) for score in titles]
        rows.append(
            [
                str(rank) if _is_number(row["cp_x_pf"]) else ABSENT,
                UNKNOWN_MODEL if row["model"] is None else printable(row["model"]),
                f"{row['n']:,}",
                *figures[:2],
                _number(row["cp_x_pf"]),
                *(groups.get(row["model"], ABSENT) for _ in letters),
                *figures[2:],
                *(ABSENT if row[column] is None else f"{row[column]:,}" for column in shown),
            ]
        )
    return headers + [not_scored[column] for column in shown], rows


def _rank_key(row: dict[str, Any]) -> tuple[int, float, bool, str]:
    """Models in this order are best first."""
    name = row["model"] is None, row["model"] or ""
    if not _is_number(row["cp_x_pf"]):
        return 2, 0.0, *name
    if _is_positive(row):
        return 0, -row["cp_x_pf"], *name
    return 1, -(row["cp_mean"] + row["pf_mean"]), *name


def _is_positive(row: dict[str, Any]) -> bool:
    return row["cp_mean"] > 0 and row["pf_mean"] > 0


def _has_rank_by_sum(model: pa.Table) -> bool:
    return any(_is_number(row["cp_x_pf"]) and not _is_positive(row) for row in model.to_pylist())


def _with_interval(row: dict[str, Any], score: str) -> str:
    mean, low, high = (row.get(f"{score}_{column}") for column in ("mean", "ci_low", "ci_high"))
    if not _is_number(low):
        return _number(mean)
    return f"{_number(mean)} [{_number(low)}, {_number(high)}]"


def _number(value: float | None) -> str:
    return f"{value:.3f}" if _is_number(value) else ABSENT


def _is_number(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def escape_markdown(text: str) -> str:
    """`text` so that Markdown shows it as it stands, within one cell.

    `_` stays: within a word it marks nothing up, and names are full of it.
    """
    marked = "".join(f"\\{char}" if char in "\\`*[]|~" else char for char in text)
    return html.escape(marked, quote=False)
