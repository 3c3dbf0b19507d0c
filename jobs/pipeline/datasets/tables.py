"""The rows of a table on disk (CSV, JSON lines or Parquet), their values as JSON has them.

Tables come from spreadsheets and from pandas, which writes integers as floats, dates as timestamps
and nothing as NaN. What is meant is taken; the rest is refused, naming the row.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.pipeline.errors import CallError
from jobs.pipeline.shards.fields import read_json
from jobs.pipeline.shards.members import MAX_JSON_MIB

Row = tuple[str, dict[str, Any]]
"""Where it stands in the table, and its values by column; what is empty is not there."""


def read_rows(path: Path, setting: str) -> Iterator[Row]:
    """The rows of a table, one after another.

    Args:
        path: its suffix says what it is.
        setting: the setting it came from, for messages.

    Raises:
        CallError: no such table, not readable, or a row that is none.
    """
    named = f"{setting}={path}"
    if path.suffix not in READERS:
        raise CallError(f"{named}: expected a file of {', '.join(READERS)}")
    if not path.is_file():
        raise CallError(f"{named}: no such file")
    rows = READERS[path.suffix](path)
    while True:
        try:
            where, row = next(rows)
        except StopIteration:
            return
        except RowError as error:
            raise CallError(f"{named}: {error}") from error
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = " ".join(str(error).split())
            raise CallError(f"{named}: not readable: {reason}") from error
        yield f"{named}: {where}", _cleaned(row, f"{named}: {where}")


class RowError(Exception):
    """A row that is none. The message says which, and why not."""


def _read_csv(path: Path) -> Iterator[Row]:
    """Every value is a text."""
    csv.field_size_limit(MAX_JSON_MIB << 20)  # what a sample's JSON may hold; its own is 131,072
    with path.open(encoding="utf-8-sig", newline="") as file:
        # Strict, or a quote that is never closed swallows the rows after it.
        reader = csv.reader(file, strict=True)
        n_rows = 0
        try:
            columns = [name.strip() for name in next(reader, [])]
            _refuse_repeated(columns)
            for cells in filter(None, reader):
                n_rows += 1
                if any(cells[len(columns) :]):
                    raise RowError(
                        f"row {n_rows} has {len(cells)} cells and the header {len(columns)}; "
                        "a text with a comma in it stands between double quotes"
                    )
                named = zip(columns, cells, strict=False)
                yield f"row {n_rows}", {name: cell for name, cell in named if name and cell}
        except csv.Error as error:
            raise RowError(f"row {n_rows + 1}: {error}") from error


def _read_jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = read_json(line)
            except (ValueError, RecursionError) as error:
                raise RowError(f"line {number}: not JSON: {error}") from error
            if not isinstance(row, dict):
                raise RowError(f"line {number}: expected an object, not {type(row).__name__}")
            yield f"line {number}", row


def _read_parquet(path: Path) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        _refuse_repeated(file.schema_arrow.names)
        yield from parquet_rows(file)


def parquet_rows(
    file: pq.ParquetFile, columns: list[str] | None = None, at_once: int = 65_536
) -> Iterator[Row]:
    """Where each row of a Parquet file stands in it, and what it holds.

    Args:
        columns: to read; None means all.
        at_once: rows in memory.
    """
    n_rows = 0
    for batch in file.iter_batches(at_once, columns=columns, use_threads=False):
        table = pa.Table.from_batches([batch])
        for row in table.cast(_in_microseconds(table.schema), safe=False).to_pylist():
            n_rows += 1
            yield f"row {n_rows}", row


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


def _refuse_repeated(columns: Iterable[str]) -> None:
    name, count = Counter(filter(None, columns)).most_common(1)[0] if any(columns) else ("", 0)
    if count > 1:
        raise RowError(f"column {name} comes twice")


def _in_microseconds(schema: pa.Schema) -> pa.Schema:
    """Nanoseconds, as pandas counts, are more than Python's own times hold."""
    for i, field in enumerate(schema):
        if pa.types.is_timestamp(field.type):
            schema = schema.set(i, field.with_type(pa.timestamp("us", field.type.tz)))
    return schema


def _cleaned(row: dict[str, Any], where: str) -> dict[str, Any]:
    cleaned = {}
    for name, value in row.items():
        try:
            plain = as_json_value(value)
        except ValueError as error:
            raise CallError(f"{where}: {name} {error}") from error
        except RecursionError as error:
            raise CallError(f"{where}: {name} is nested too deeply") from error
        if plain is not None:
            cleaned[name] = plain
    return cleaned


def as_json_value(value: Any) -> Any:
    """`value` as JSON has it: times in ISO 8601, durations in seconds, and None for NaN and NaT.

    Raises:
        ValueError: there is no such value. The message goes on from the value's name.
    """
    match value:
        case np.generic() | np.ndarray():
            return as_json_value(value.tolist())
        case None | bool() | int() | str():
            return value
        case float() if math.isinf(value):
            raise ValueError(f"is {value}, which JSON has no number for")
        case float():
            return None if math.isnan(value) else value
        case datetime() | date() | time():
            # NaT is a datetime and equals nothing.
            return value.isoformat() if value == value else None
        case timedelta():
            return value.total_seconds()
        case Decimal():
            is_whole = value.is_finite() and value == value.to_integral_value()
            return int(value) if is_whole else as_json_value(float(value))
        case dict():
            return {str(name): as_json_value(each) for name, each in value.items()}
        case list() | tuple():
            return [as_json_value(each) for each in value]
    raise ValueError(f"is of type {type(value).__name__}, which JSON does not hold")
