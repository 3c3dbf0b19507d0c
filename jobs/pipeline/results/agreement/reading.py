"""Anybody's ratings, and anybody's metrics, as tables of a row a rating, or a row a sample.

A sample is told by `model`, `concept` and `prompt_id`, and by `seed` where a table has it; or by
`model` and `sample`, where no sample shares its concept with another one.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jobs.pipeline.errors import CallError
from jobs.pipeline.results.agreement.ratings import Column, Rating, Ratings, Sample, collect

log = logging.getLogger(__name__)

Row = tuple[str, dict[str, Any]]
"""Where it stands, and its values by column; what is empty is not there."""

MODEL, CONCEPT, PROMPT, SEED, RATER = "model", "concept", "prompt_id", "seed", "rater"
SAMPLE = "sample"
"""In place of `CONCEPT` and `PROMPT`."""
Identify = Callable[[str, dict[str, Any]], Sample]
"""What tells the sample of a row, from where it stands and its values."""
NOT_VALUES = {MODEL, CONCEPT, PROMPT, SEED, RATER, SAMPLE}
LARGEST_EXACT_FLOAT = 2**53


def read_ratings(rows: Iterable[Row], column: str, named: str) -> Ratings:
    """The ratings of one column.

    Args:
        named: the table's name, for messages.

    Raises:
        CallError: there is no such column, a row lacks what tells its sample or its rater, a rating
            is no number, or comes twice.
    """
    table = list(rows)
    columns = _columns(table, named)
    _require(RATER, columns, named)
    if column in NOT_VALUES:
        raise CallError(f"rating={column}: a rating is a column of its own, not {column}")
    if column not in columns:
        known = [name for name in columns if name not in NOT_VALUES]
        raise CallError(
            f"{named}: no column {column!r}; rating= names one of {', '.join(known) or 'none'}"
        )
    has_seed = SEED in columns
    identify = _identifier(columns, named, has_seed)
    ratings = (
        Rating(where, identify(where, row), _name(row, RATER, where), _number(row, column, where))
        for where, row in table
    )
    return collect(ratings, f"{named}: {column}")


def read_columns(rows: Iterable[Row], named: str, has_seed: bool) -> list[Column]:
    """The metrics of a table, each a column; what has no number in it is none.

    Args:
        has_seed: whether the ratings tell seeds apart.

    Raises:
        CallError: a row lacks what tells its sample, a sample comes twice, a column has numbers and
            something else, or there is no metric at all.
    """
    table = list(rows)
    columns = _columns(table, named)
    if has_seed:
        _require(SEED, columns, named)
    identify = _identifier(columns, named, has_seed)
    samples: dict[Sample, str] = {}
    for where, row in table:
        sample = identify(where, row)
        if sample in samples:
            raise CallError(f"{where}: {sample} is in {samples[sample]} too")
        samples[sample] = where
    found = []
    for name in columns:
        if name in NOT_VALUES:
            continue
        if not any(_is_number(row.get(name)) for _, row in table):
            log.warning("%s: column %s has no number in it, so it is no metric", named, name)
            continue
        values = {
            sample: number
            for sample, (where, row) in zip(samples, table, strict=True)
            if (number := _number(row, name, where)) is not None
        }
        found.append(Column(name, values, dict.fromkeys(samples.keys() - values, "empty")))
    if not found:
        raise CallError(f"{named}: no column of numbers beside those that tell samples apart")
    return found


def _columns(table: Sequence[Row], named: str) -> list[str]:
    if not table:
        raise CallError(f"{named}: no row in it")
    return list(dict.fromkeys(name for _, row in table for name in row))


def _require(column: str, columns: Sequence[str], named: str) -> None:
    if column not in columns:
        raise CallError(f"{named}: no column {column!r}; it has {', '.join(columns)}")


def _identifier(columns: Sequence[str], named: str, has_seed: bool) -> Identify:
    _require(MODEL, columns, named)
    if SAMPLE in columns and CONCEPT not in columns and PROMPT not in columns:
        concept = prompt = SAMPLE
    else:
        concept, prompt = CONCEPT, PROMPT
        _require(CONCEPT, columns, named)
        _require(PROMPT, columns, named)

    def identify(where: str, row: dict[str, Any]) -> Sample:
        seed = _seed(row, where) if has_seed else None
        model, of, at = (_name(row, column, where) for column in (MODEL, concept, prompt))
        return Sample(model, of, at, seed)

    return identify


def _name(row: dict[str, Any], column: str, where: str) -> str:
    """A text; a number is the text that names it, 2 for 2.0 as pandas writes integers."""
    value = row.get(column)
    if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_EXACT_FLOAT:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        said = "is empty" if value is None or value == "" else f"is {value!r}, expected a name"
        raise CallError(f"{where}: {column} {said}")
    return str(value)


def _seed(row: dict[str, Any], where: str) -> int:
    number = _number(row, SEED, where)
    if number is None or not number.is_integer():
        raise CallError(f"{where}: {SEED} is {row.get(SEED)!r}, expected an integer")
    return int(number)


def _number(row: dict[str, Any], column: str, where: str) -> float | None:
    """None for what is empty or NaN."""
    value = row.get(column)
    if value is None or value == "":
        return None
    if not _is_number(value):
        raise CallError(f"{where}: {column} is {str(value)[:40]!r}, expected a number")
    number = float(value)
    if math.isinf(number):
        raise CallError(f"{where}: {column} is infinite")
    return None if math.isnan(number) else number


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
        return "_" not in value  # which Python allows in a number
    return isinstance(value, int | float) and not isinstance(value, bool)
