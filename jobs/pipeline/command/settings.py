"""A setting of a command: a typed dataclass field with its line of help."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, get_type_hints

from omegaconf import MISSING

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


def _settings(schema: type, prefix: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """(dotted key, (type, field)) of every leaf of the schema, in order."""
    hints = get_type_hints(schema)
    for field in dataclasses.fields(schema):
        key, hint = f"{prefix}{field.name}", hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _settings(hint, f"{key}.")  # type: ignore[arg-type]
        else:
            yield key, (hint, field)
