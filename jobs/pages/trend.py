"""The trend over nights: each score of each checkpoint, from the history."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.pages.charts.scale import Scale, Tick, scale_of
from jobs.pages.names import shown, title
from jobs.pipeline.errors import CallError
from jobs.pipeline.nights.history import History, NotAHistory, Row
from jobs.pipeline.nights.wording import FIRST, headline, trend_lines
from jobs.pipeline.storage.filesystem import absolute, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries

WIDTH, HEIGHT = 560, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 34
FIRST_SHOWN = {"cp": 0, "pf": 1}
MOST_NIGHTS = 120
"""The latest that are shown."""
LABELS = 6
"""Checkpoints that are named along the axis, about."""


@dataclass(frozen=True)
class Night:
    """One checkpoint's point."""

    x: float
    y: float
    ends: tuple[float, float] | None
    has_passed: bool
    text: str


@dataclass(frozen=True)
class TrendLine:
    """One score over the checkpoints."""

    title: str
    points: list[Night]
    path: str
    ticks: list[Tick]
    names: list[Tick]


@dataclass(frozen=True)
class Trend:
    """What a history shows."""

    rows: Sequence[Row]
    columns: list[str]
    lines: list[TrendLine]
    words: list[str]
    n_left_out: int


def read_history(url: str) -> History:
    """The history at a path or URL.

    Raises:
        CallError: there is none, it is none, or it has no row.
        StorageError: it cannot be read.
    """
    fs, path = open_filesystem(url, keeps_listings=False)
    named = f"history={redact(url)}"
    try:
        history = History.from_parquet(with_retries(redact(url), lambda: fs.cat_file(path)))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise CallError(f"{named}: no such file; it is HOME/history.parquet") from error
    except NotAHistory as error:
        raise CallError(f"{named}: no history of jobs.nightly: {error}") from error
    if not history.rows:
        raise CallError(f"{named}: no checkpoint has been judged yet")
    return history


def trend(history: History) -> Trend:
    """CP, PF, and whatever else was compared in it."""
    rows = history.rows[-MOST_NIGHTS:]
    known = dict.fromkeys(
        name.removesuffix("_mean")
        for row in rows
        for name, value in row.items()
        if name.endswith("_mean") and value is not None
    )
    columns = sorted(known, key=lambda name: FIRST_SHOWN.get(name, len(FIRST_SHOWN)))
    return Trend(
        rows,
        columns,
        [_line(rows, column) for column in columns],
        trend_lines(history.trend(columns)),
        len(history.rows) - len(rows),
    )


def strangers(history: History, runs: Sequence[str]) -> list[str]:
    """What there is to say of a history that knows nothing of the runs that are shown."""
    known = {row["run"] for row in history.rows}
    if known & {redact(absolute(run)).rstrip("/") for run in runs}:
        return []
    return ["the history has no row of what is shown here: its trend may be another training's"]


def verdict_of(row: Row) -> str:
    """Of a checkpoint, against the last that passed and against the pin."""
    word = row["verdict"] or FIRST
    pin = row["verdict_pin"]
    return f"{word}, {pin} against the pin" if pin else str(word)


def _line(rows: Sequence[Row], column: str) -> TrendLine:
    ends = ("mean", "ci_low", "ci_high")
    y = scale_of(
        (row.get(f"{column}_{end}") for row in rows for end in ends), HEIGHT - BOTTOM, TOP, 0.08
    )
    x = Scale(-0.5, len(rows) - 0.5, LEFT, WIDTH - RIGHT)
    points = []
    for place, row in enumerate(rows):
        mean, low, high = (_number(row.get(f"{column}_{end}")) for end in ends)
        if mean is None:
            continue
        between = "" if low is None else f" [{low:.3f}, {high:.3f}]"
        points.append(
            Night(
                x.at(place),
                y.at(mean),
                None if low is None or high is None else (y.at(high), y.at(low)),
                bool(row["passed"]),
                f"{headline(row)}; {title(column)} {mean:.3f}{between}",
            )
        )
    path = "".join(f"{'L' if number else 'M'}{p.x} {p.y}" for number, p in enumerate(points))
    every = max(1, -(-len(rows) // LABELS))
    names = [
        Tick(x.at(place), shown(row["checkpoint"])[-12:])
        for place, row in enumerate(rows)
        if place % every == 0
    ]
    return TrendLine(title(column), points, path, y.ticks(4), names)


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
