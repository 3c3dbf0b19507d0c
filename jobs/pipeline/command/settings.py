"""A setting of a command: a typed dataclass field with its line of help."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar, get_type_hints

from omegaconf import MISSING

Config = TypeVar("Config")


def setting(default: Any = MISSING, help: str = "", **kwargs: Any) -> Any:
    """A dataclass field with its line of help; without a default the setting is required."""
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata={"help": help})
    return dataclasses.field(default=default, metadata={"help": help}, **kwargs)


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
