"""The paper's tables as Markdown, as a page, as JSON and at the terminal: the same cells in all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.pipeline.results.numbers import ABSENT, number, plain, signed
from jobs.pipeline.results.paper.moves import Moves
from jobs.pipeline.results.paper.tables import Figure, PaperRow, PaperTable
from jobs.pipeline.results.text_tables import TextTable, bullets, escaped, markdown_table

TITLE = "The paper's tables, ours beside the published figures"
FOOTNOTE = (
    "MaSC: A Masked Similarity Metric for Evaluating Concept-Driven Generation (arXiv 2605.22469). "
    "Alpha is Krippendorff's, interval, by DreamBench++'s rules: the mean of the two groups of "
    "raters, to 3 decimals, every row of a table on the same keys. AUC counts ties half. Intervals "
    "are 95 %, over concepts, or over subjects. Difference is ours minus the published figure."
)


def tables_of(table: PaperTable) -> list[TextTable]:
    """A table, and what masks move where it says that."""
    further = list(dict.fromkeys(name for row in table.rows for name in row.beside))
    headers = ["", "ours", "95 %", "published", "difference", "n", *further, "why not"]
    rows = [
        [
            *_cells(row, table.digits),
            *(row.beside.get(name, ABSENT) for name in further),
            (row.why_not or "").partition(": ")[0],
        ]
        for row in table.rows
    ]
    shown = [TextTable(table.figure, headers, rows)]
    return shown + (_of_moves(table.moves) if table.moves is not None else [])


def notes_of(table: PaperTable) -> list[str]:
    """What is to be said of a table: of rows without a figure the whole reason, and of its data."""
    rows_of: dict[str, list[str]] = {}
    for row in table.rows:
        if row.why_not is not None:
            rows_of.setdefault(row.why_not, []).append(row.name)
    reasons = [f"{why} ({'; '.join(rows)})" for why, rows in rows_of.items() if ": " in why]
    return [*table.notes, *reasons]


def markdown(tables: Sequence[PaperTable]) -> str:
    """`paper.md`."""
    blocks = [f"# {TITLE}", bullets(_overview(tables))]
    for table in tables:
        blocks.append(f"## {escaped(table.title)}")
        blocks += [markdown_table(each) for each in tables_of(table)]
        if notes := notes_of(table):
            blocks.append(bullets(notes))
    return "\n\n".join([*blocks, f"<sub>{FOOTNOTE}</sub>"]) + "\n"


def html(tables: Sequence[PaperTable]) -> str:
    """`paper.html`, which needs no other file."""
    from jinja2 import Environment, PackageLoader

    # Names of systems and of files are a stranger's.
    environment = Environment(
        loader=PackageLoader("jobs.pipeline.results.paper", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [
        {
            "name": table.recipe,
            "title": table.title,
            "tables": tables_of(table),
            "notes": notes_of(table),
        }
        for table in tables
    ]
    return environment.get_template("page.html").render(
        title=TITLE, overview=_overview(tables), sections=sections, footnote=FOOTNOTE
    )


def document(tables: Sequence[PaperTable]) -> dict[str, Any]:
    """What `--json` prints: null where there is no figure, never NaN."""
    return {table.recipe: _document(table) for table in tables}


def _document(table: PaperTable) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": table.title,
        "rows": [_row_document(row) for row in table.rows],
        "notes": list(table.notes),
    }
    if table.moves is not None:
        found["moves"] = {
            "by_mask": [
                {name: _plain(value) for name, value in vars(each).items()}
                for each in table.moves.by_mask
            ],
            "decided": [vars(each) for each in table.moves.decided],
        }
    return found


def _row_document(row: PaperRow) -> dict[str, Any]:
    ours = row.ours
    return {
        "name": row.name,
        "system": row.system,
        "ours": None if ours is None else number(ours.value),
        "ci": None if ours is None or ours.interval is None else _ends(ours),
        "n": None if ours is None else ours.n,
        "published": row.published,
        "difference": None if row.difference is None else number(row.difference),
        "why_not": row.why_not,
        **row.beside,
    }


def _ends(figure: Figure) -> list[float | None]:
    assert figure.interval is not None
    return [number(figure.interval.low), number(figure.interval.high)]


def _plain(value: Any) -> Any:
    return number(value) if isinstance(value, float) else value


def _overview(tables: Sequence[PaperTable]) -> list[str]:
    return [
        f"{table.title}: {table.n_with_figures} of {len(table.rows)} rows have a figure of ours"
        for table in tables
    ]


def _cells(row: PaperRow, digits: int) -> list[str]:
    ours, difference = row.ours, row.difference
    interval = ABSENT
    if ours is not None and ours.interval is not None:
        ends = [plain(end, digits) for end in (ours.interval.low, ours.interval.high)]
        interval = ABSENT if ABSENT in ends else f"[{ends[0]}, {ends[1]}]"
    return [
        row.name,
        ABSENT if ours is None else plain(ours.value, digits),
        interval,
        ABSENT if row.published is None else plain(row.published, digits),
        ABSENT if difference is None else signed(difference, digits),
        ABSENT if ours is None or ours.n is None else f"{ours.n:,}",
    ]


def _of_moves(moves: Moves) -> list[TextTable]:
    by_mask = [
        [
            each.mask,
            f"{each.n:,}",
            f"{each.n_lost:,}",
            *(plain(value) for value in (each.median, each.p95, each.largest)),
            *(_share(value) for value in (each.median_rank, each.p95_rank)),
        ]
        for each in moves.by_mask
    ]
    headers = ["mask", "samples", "lost", "median", "95 %", "largest", "rank: median", "rank: 95 %"]
    shown = [TextTable("How far a sample's score moves from the given mask's", headers, by_mask)]
    if moves.decided:
        rows = [
            [
                each.key,
                each.mask,
                *(plain(score) for score in each.scores),
                *(f"{rank:g}" for rank in each.ranks),
                f"{each.n:,}",
            ]
            for each in moves.decided
        ]
        headers = ["sample", "mask", "given", "by it", "rank", "by it", "of"]
        shown.append(TextTable("Samples whose rank the mask decides most", headers, rows))
    return shown


def _share(value: float) -> str:
    shown = plain(100 * value, 1)
    return shown if shown == ABSENT else f"{shown} %"
