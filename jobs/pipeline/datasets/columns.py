"""The columns of a table that describes samples, and what is meant by their values.

A table's types make of them what they can: integers that became floats, numbers that are names.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from jobs.pipeline.datasets.entries import GENERATION, ROLES

NOT_IN_JSON = ("image", "mask", "role", "key")
"""Columns that say what a sample is, and not what is said of it."""

LIKE = 0.8
"""How like a known column's name another is taken for a slip: `modle` is, `mode` of `model` too,
`caption` of `prompt` is not."""

LARGEST_EXACT_FLOAT = 2**53
"""From here on a float does not hold every integer: one that became a float is lost."""


def _text(value: Any) -> Any:
    """A number is the text that names it; what is neither is left for the check of all fields."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(_integer_if_it_was_one(value)) if is_number else value


def _text_or_nothing(value: Any) -> Any:
    text = _text(value)
    return None if isinstance(text, str) and not text.strip() else text


def _key_text(value: Any) -> str:
    text = _text(value)
    if not isinstance(text, str):
        raise ValueError("not a text or a number")
    return text


def _seed(value: Any) -> int:
    number = _integer_if_it_was_one(_number_in(value) if isinstance(value, str) else value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError("not an integer")
    return number


def _number_in(text: str) -> int | float | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _integer_if_it_was_one(value: Any) -> Any:
    """2 for 2.0: pandas writes integers so where some are missing."""
    if not isinstance(value, float) or not value.is_integer():
        return value
    if abs(value) >= LARGEST_EXACT_FLOAT:
        raise ValueError("a float that no longer says which integer it was; store it as one")
    return int(value)


def _names(value: Any) -> list[str] | None:
    """Of references: a list, or a text with semicolons between them."""
    given = value.split(";") if isinstance(value, str) else value
    if not isinstance(given, list):
        raise ValueError("not a list of keys")
    return [name for name in (_key_text(each).strip() for each in given) if name] or None


FIELDS: dict[str, Callable[[Any], Any]] = {
    "key": _key_text,
    "model": _text,
    "concept": _text,
    "prompt": _text,
    "subject": _text_or_nothing,
    "prompt_id": _integer_if_it_was_one,
    "seed": _seed,
    "references": _names,
}
"""What is meant by a value of a column, None for nothing.

A ValueError says what the value is not; other columns are carried as they are.
"""

MEANT = {*FIELDS, *NOT_IN_JSON}
"""Columns in which an empty text is nothing."""


def values_meant(row: dict[str, Any]) -> dict[str, Any]:
    """A row's values as they are meant, by column; `role` is among them.

    Raises:
        ValueError: a value that cannot be meant. The message is the reason, with the column.
    """
    given = {name: value for name, value in row.items() if value != "" or name not in MEANT}
    role = given.setdefault("role", GENERATION)
    if role not in ROLES:
        raise ValueError(f"role is {role!r}, not {' or '.join(ROLES)}")
    values = {}
    for name, value in given.items():
        try:
            values[name] = FIELDS[name](value) if name in FIELDS else value
        except ValueError as error:
            raise ValueError(f"{name} is {value!r}, {error}") from error
    return values


def fields_of(values: dict[str, Any]) -> dict[str, Any]:
    """Those of a row's values that go into its sample's JSON."""
    return {
        name: value
        for name, value in values.items()
        if name not in NOT_IN_JSON and value is not None
    }


def likely_meant(name: str) -> str | None:
    """The known column that a name of none is most like, if it is like one."""
    if name in MEANT:
        return None
    plain = re.sub(r"[\W_]+", "_", name.strip().lower())
    nearest = difflib.get_close_matches(plain, sorted(MEANT), 1, LIKE)
    return nearest[0] if nearest else None
