"""A setting of a command: a typed dataclass field with its line of help."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from omegaconf import MISSING

from jobs.pipeline.errors import CallError

Config = TypeVar("Config")


def setting(default: Any = MISSING, help: str | Callable[[], str] = "", **kwargs: Any) -> Any:
    """A dataclass field with its line of help; without a default the setting is required.

    A help that is called lists what there is at that time.
    """
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata={"help": help})
    return dataclasses.field(default=default, metadata={"help": help}, **kwargs)


def help_of(field: Any) -> str:
    """The line of help of a setting."""
    text = field.metadata["help"]
    return text() if callable(text) else text


def section(schema: type) -> Any:
    """A dataclass field that holds a nested group of settings."""
    return dataclasses.field(default_factory=schema)


def require_in_range(*settings: tuple[str, float, float, float]) -> None:
    """Names of settings, their values, and the least and most that these may be.

    Raises:
        CallError: one is out of its range.
    """
    for name, value, least, most in settings:
        if not least <= value <= most:
            raise CallError(f"{name}={value}: expected {least} to {most}")


def require_one_of(name: str, value: str, known: Sequence[str]) -> None:
    """A setting's value is one of those that there are.

    Raises:
        CallError: it is none of them.
    """
    if value not in known:
        raise CallError(f"{name}={value}: expected {', '.join(known)}")


NAME = "NAME"
"""Stands in a dotted key for whatever a table of settings has there."""


def table(help: str, default: Mapping[str, Any] | None = None) -> Any:
    """A dataclass field that holds settings, or groups of them, of one kind by names of the user's.

    What a call gives is added to the default.
    """
    return dataclasses.field(default_factory=lambda: dict(default or {}), metadata={"help": help})


class Known(dict[str, tuple[Any, Any]]):
    """By its dotted key, a setting's type and field; in a table any name is known."""

    def __init__(self, schema: type) -> None:
        super().__init__(_settings(schema))
        self._tables = [key.partition(f".{NAME}.")[0] for key in self if f".{NAME}." in key]
        self.tables_of_values = [key.removesuffix(f".{NAME}") for key in self if key.endswith(NAME)]
        """Keys of tables that have a value by each name, not a group."""

    def __contains__(self, key: object) -> bool:
        return super().__contains__(self._pattern(str(key)))

    def __getitem__(self, key: str) -> tuple[Any, Any]:
        return super().__getitem__(self._pattern(key))

    def names(self, typed: str) -> list[str]:
        """All keys; in a table under the name that `typed` has there."""
        for table in self._tables:
            if typed.startswith(f"{table}."):
                name = typed.removeprefix(f"{table}.").partition(".")[0]
                return [key.replace(f"{table}.{NAME}.", f"{table}.{name}.") for key in self]
        return list(self)

    def _pattern(self, key: str) -> str:
        for name in self._tables:
            if key.startswith(f"{name}."):
                # Names of metrics have dots of their own.
                return f"{name}.{NAME}.{key.rpartition('.')[2]}"
        for name in self.tables_of_values:
            if key.startswith(f"{name}."):
                return f"{name}.{NAME}"
        return key

    def split(self, key: str) -> list[str]:
        """A dotted key's names, each within the one before."""
        for name in self.tables_of_values:
            if key.startswith(f"{name}."):
                # The name in the table may have dots of its own.
                return [*name.split("."), key.removeprefix(f"{name}.")]
        return key.split(".")


def _settings(schema: type, prefix: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """(dotted key, (type, field)) of every leaf of the schema, in order."""
    hints = get_type_hints(schema)
    for field in dataclasses.fields(schema):
        key, hint = f"{prefix}{field.name}", hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _settings(hint, f"{key}.")  # type: ignore[arg-type]
        elif get_origin(hint) is dict:
            of = get_args(hint)[1]
            if dataclasses.is_dataclass(of):
                yield from _settings(of, f"{key}.{NAME}.")  # type: ignore[arg-type]
            else:
                yield f"{key}.{NAME}", (of, field)
        else:
            yield key, (hint, field)
