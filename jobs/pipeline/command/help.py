"""What `--help` prints: the schema with its defaults."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, get_args, get_origin

import yaml
from omegaconf import MISSING
from rich.console import Console
from rich.markup import escape

from jobs.pipeline.command.settings import _settings, help_of


def print_help(name: str, schema: type, description: str) -> None:
    """The command's schema with defaults, on stdout."""
    console = Console()
    console.print(
        f"[bold]python -m jobs.{name}[/bold] \\[FILE.yaml ...] \\[key=value ...] \\[--json]"
    )
    console.print(f"\n{escape(inspect.cleandoc(description))}\n")
    for key, (hint, field) in _settings(schema):
        kind = f"[dim]({escape(_type_name(hint))})[/dim]"
        console.print(
            f"[bold]{key}[/bold] = {escape(_default(field))}  {kind}\n    {escape(help_of(field))}",
            soft_wrap=True,
            highlight=False,
        )


def _default(field: Any) -> str:
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    elif field.default == MISSING:
        return "(required)"
    else:
        value = field.default
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()


def _type_name(hint: Any) -> str:
    if hint is type(None):
        return "null"
    if get_origin(hint) is list:
        return "list"
    if get_args(hint):
        parts = [a if isinstance(a, str) else _type_name(a) for a in get_args(hint)]
        return "|".join(parts)
    return hint.__name__
