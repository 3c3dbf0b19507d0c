"""A table of texts as it is read: in the terminal, as Markdown, as LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tabulate import tabulate

from jobs.pipeline.command.messages import printable
from jobs.pipeline.results.leaderboard import escape_markdown


@dataclass(frozen=True)
class TextTable:
    """The first column names the row, the others are figures; any text may stand in it."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


def print_table(console: Console, table: TextTable) -> None:
    """Under its title."""
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for number, header in enumerate(table.headers):
        shown.add_column(
            Text(printable(header)), justify="right" if number else "left", no_wrap=True
        )
    for row in table.rows:
        # Text, so that brackets are not taken for rich's markup.
        shown.add_row(*(Text(printable(cell)) for cell in row))
    console.print(Text(printable(table.title), "dim"))
    console.print(shown)


def markdown_table(table: TextTable) -> str:
    """Under its title."""
    rows = [[escaped(cell) for cell in row] for row in table.rows]
    headers = [escaped(header) for header in table.headers]
    return f"**{escaped(table.title)}**\n\n{_tabulated(rows, headers, 'pipe')}"


def latex_table(table: TextTable) -> str:
    """A `tabular` of the package booktabs, its cells escaped; the title is a comment above."""
    rows = [[printable(cell) for cell in row] for row in table.rows]
    headers = [printable(header) for header in table.headers]
    return f"% {printable(table.title)}\n{_tabulated(rows, headers, 'latex_booktabs')}"


def bullets(lines: Iterable[str]) -> str:
    """A list in Markdown."""
    return "\n".join(f"- {escaped(line)}" for line in lines)


def escaped(text: str) -> str:
    """On one line, and as it stands, in Markdown."""
    return escape_markdown(printable(text))


def _tabulated(rows: list[list[str]], headers: list[str], form: str) -> str:
    aligned = ["left", *["right"] * (len(headers) - 1)]
    return tabulate(rows, headers, tablefmt=form, colalign=aligned, disable_numparse=True)
