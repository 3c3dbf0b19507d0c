"""What became of a checkpoint, in words: a line, a message, and Markdown for a page of CI."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jobs.pipeline.nights.history import EARLY_CONCEPTS, EARLY_SAVED, Row
from jobs.pipeline.results.comparison.wording import title
from jobs.pipeline.results.numbers import ABSENT, plain, signed
from jobs.pipeline.results.text_tables import TextTable, bullets, escaped, markdown_table
from jobs.pipeline.storage.redaction import redact, scrub

FIRST = "first"
"""Stands for the verdict of a checkpoint that was held against nothing."""


def headline(row: Row) -> str:
    """One line: the checkpoint, its verdict, what it was held against."""
    against = f" against {row['against']}" if row["against"] else ""
    pin = f", {row['verdict_pin']} against the pin" if row["verdict_pin"] else ""
    return f"{row['checkpoint']}: {row['verdict'] or FIRST}{against}{pin}{_early(row)}"


def _early(row: Row) -> str:
    """How early it was decided; empty where it was not."""
    concepts = row.get(EARLY_CONCEPTS)
    if not concepts:
        return ""
    saved = row.get(EARLY_SAVED) or 0.0
    return f", early: after {concepts:,.0f} concepts, {saved:.0%} of the shards not scored"


def unfinished_line(home: str, why: str) -> str:
    """One line: where, and what kept a night from being finished."""
    return f"{redact(home)}: the night could not be finished, and the next call goes on: {why}"


def table(rows: Sequence[Row], columns: Sequence[str]) -> TextTable:
    """Checkpoints with what they were found to be, a row each."""
    headers = ["checkpoint", "verdict", "against", "pin"]
    for column in columns:
        headers += [title(column), "change", "from the pin"]
    return TextTable("nights", headers, [_cells(row, columns) for row in rows])


def changes(row: Row) -> list[str]:
    """How each compared column has changed, a line each: against the last, and against the pin."""
    lines = []
    for suffix, against in (("", row["against"]), ("_pin", "the pin")):
        for name in row:
            column = name.removesuffix(f"_delta{suffix}")
            if column != name and not column.endswith("_delta") and row[name] is not None:
                low, high = (
                    _number(row.get(f"{column}_delta_{end}{suffix}")) for end in ("low", "high")
                )
                lines.append(
                    f"{title(column)} {signed(_number(row[name]))} [{signed(low)}, {signed(high)}] "
                    f"against {against}"
                )
    return lines


def details(row: Row) -> list[str]:
    """What else there is to say of it, a line each."""
    lines = [f"{each['kind']} ({each['of']}): {each['text']}" for each in row["suspicions"] or []]
    if row["has_too_many_errors"]:
        lines.insert(0, f"{row['n_error']:,} of {row['n']:,} samples could not be scored")
    if row["floor_note"]:
        lines.append(f"A/A: {row['floor_note']}")
    return lines


def markdown(
    rows: Sequence[Row],
    columns: Sequence[str],
    trend: Mapping[str, Any],
    unfinished: str | None = None,
) -> str:
    """A night as a comment: the words first, then figures, suspicions and the trend.

    Args:
        unfinished: the checkpoint that could not be finished, and why.
    """
    said = [f"**Not finished**: {escaped(scrub(unfinished))}"] if unfinished else []
    if not rows:
        return "\n\n".join([*said, "No checkpoint was judged."]) + "\n"
    blocks = [
        *said,
        f"# {escaped(headline(rows[0]))}" if len(rows) == 1 else f"# {len(rows)} checkpoints",
    ]
    if len(rows) > 1:
        blocks.append(bullets(headline(row) for row in rows))
    blocks.append(markdown_table(table(rows, columns)))
    for row in rows:
        if not row["passed"]:
            lines = bullets(changes(row))
            blocks.append(f"**What has changed: {escaped(row['checkpoint'])}**\n\n{lines}")
        if found := details(row):
            blocks.append(
                f"**Look at this first: {escaped(row['checkpoint'])}**\n\n{bullets(found)}"
            )
    if trend:
        blocks.append(f"**Trend**\n\n{bullets(trend_lines(trend))}")
    return scrub("\n\n".join(blocks)) + "\n"


def trend_lines(trend: Mapping[str, Any]) -> list[str]:
    """How each score has moved, a line each."""
    return [
        f"{title(column)} {signed(each['a_night'], 5)} a night "
        f"[{signed(each['low'], 5)}, {signed(each['high'], 5)}] over {each['nights']} nights"
        for column, each in trend.items()
    ]


def document(row: Row) -> dict[str, Any]:
    """A row as JSON has it: null where a figure is undefined, never NaN; texts without secrets."""
    return {key: json_of(value) for key, value in row.items() if key != "untold"}


def json_of(value: Any) -> Any:
    """A value in JSON's types: null for what is no finite number, texts without secrets."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, list):
        return [json_of(each) for each in value]
    return {key: json_of(each) for key, each in value.items()} if isinstance(value, dict) else value


def _cells(row: Row, columns: Sequence[str]) -> list[str]:
    cells = [row["checkpoint"], row["verdict"] or FIRST, row["against"] or ABSENT]
    cells.append(row["verdict_pin"] or ABSENT)
    for column in columns:
        cells.append(plain(_number(row.get(f"{column}_mean"))))
        cells += [signed(_number(row.get(f"{column}_delta{pin}"))) for pin in ("", "_pin")]
    return cells


def _number(value: float | None) -> float:
    return math.nan if value is None else value
