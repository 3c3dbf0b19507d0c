"""How every command is asked for: `python -m jobs.NAME [FILE.yaml ...] [key=value ...]`.

A command is a dataclass of settings and a function. This module turns the words of the call into
that dataclass (OmegaConf over the typed schema, later words win), prints `--help` from the schema,
and turns a wrong call into one line and exit status 1.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import yaml
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from jobs.pipeline.messages import MessageFormatter, printable, scrub
from jobs.pipeline.retrying import StorageError

log = logging.getLogger(__name__)

EXIT_DONE = 0
EXIT_WRONG_CALL = 1
EXIT_TOO_MANY_ERRORS = 2
EXIT_INCOMPLETE = 3

Config = TypeVar("Config")


class CallError(Exception):
    """The call or its configuration is wrong. The message is the line that the user reads."""


def setting(default: Any = MISSING, help: str = "", **kwargs: Any) -> Any:
    """A dataclass field with its line of help; without a default the setting is required."""
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata={"help": help})
    return dataclasses.field(default=default, metadata={"help": help}, **kwargs)


def section(schema: type) -> Any:
    """A dataclass field that holds a nested group of settings."""
    return dataclasses.field(default_factory=schema)


def run_command(
    name: str, schema: type[Config], body: Callable[[Config, bool], int], argv: list[str]
) -> int:
    """Parse `argv` into `schema`, call `body(config, as_json)` and return its exit status.

    `body` raises `CallError` for what is wrong with the call, and `StorageError` for a storage that
    does not answer; these, and a wrong command line, are one line on stderr and status 1.
    """
    to_stderr = logging.StreamHandler()
    to_stderr.setFormatter(MessageFormatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    level = os.environ.get("LOG_LEVEL", "INFO").upper()
    logging.basicConfig(level=level, handlers=[to_stderr])
    if "--help" in argv or "-h" in argv:
        print_help(name, schema, body.__doc__ or "")
        return EXIT_DONE
    as_json = "--json" in argv
    try:
        config = parse([word for word in argv if word != "--json"], schema)
        return body(config, as_json)
    except KeyboardInterrupt as error:
        log.error("interrupted: %s", str(error) or "SIGINT")
        return EXIT_INCOMPLETE
    except (CallError, StorageError) as error:
        one_line = " ".join(printable(scrub(str(error))).split())
        shown = Text.assemble((f"jobs.{name}:", "red"), " ", one_line)
        Console(stderr=True, soft_wrap=True).print(shown)
        return EXIT_WRONG_CALL
    except Exception:  # Python's own traceback would show the credentials in a URL
        log.exception("jobs.%s: an error that was not foreseen", name)
        return EXIT_WRONG_CALL


def parse(words: list[str], schema: type[Config]) -> Config:
    """The settings that `words` (YAML files and `key=value`) ask for; later words win.

    Raises:
        CallError: a file that cannot be read, an unknown key (the nearest known one is named), a
            value of the wrong type, or a required setting that is not given.
    """
    known = dict(_settings(schema))
    merged = OmegaConf.structured(schema)
    for word in words:
        given, source = _read_word(word, known)
        _reject_unknown(given, known, source)
        for key, (hint, _) in known.items():
            value = OmegaConf.select(given, key)
            if get_origin(hint) is list and isinstance(value, str):
                OmegaConf.update(given, key, [value])
        try:
            merged = OmegaConf.merge(merged, given)
        except OmegaConfBaseException as error:
            where = f"{error.full_key}: " if error.full_key else ""
            raise CallError(f"{source}: {where}{str(error).splitlines()[0]}") from error
    for key in sorted(OmegaConf.missing_keys(merged)):
        raise CallError(f"{key}= is required: {known[key][1].metadata['help']} (see --help)")
    try:
        return cast(Config, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        raise CallError(f"{error.full_key}: {str(error).splitlines()[0]}") from error


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
            f"[bold]{key}[/bold] = {escape(_default(field))}  {kind}\n"
            f"    {escape(field.metadata['help'])}",
            soft_wrap=True,
            highlight=False,
        )


def _settings(schema: type, prefix: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """(dotted key, (type, field)) of every leaf of the schema, in order."""
    hints = get_type_hints(schema)
    for field in dataclasses.fields(schema):
        key, hint = f"{prefix}{field.name}", hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _settings(hint, f"{key}.")  # type: ignore[arg-type]
        else:
            yield key, (hint, field)


def _read_word(word: str, known: dict[str, tuple[Any, Any]]) -> tuple[DictConfig, str]:
    """One word of the call as a configuration, with the name to call it by in an error."""
    key, separator, text = word.partition("=")
    if separator and not word.startswith("-"):
        return _read_override(key, text, known), word
    if word.endswith((".yaml", ".yml")):
        if not Path(word).is_file():
            raise CallError(f"{word}: no such configuration file")
        try:
            loaded = OmegaConf.load(word)
        except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
            raise CallError(f"{word}: not readable as YAML: {error}") from error
        if not isinstance(loaded, DictConfig):
            raise CallError(f"{word}: expected a mapping of settings at the top level")
        return loaded, word
    raise CallError(f"{word}: expected FILE.yaml, key=value, --json or --help")


def _read_override(key: str, text: str, known: dict[str, tuple[Any, Any]]) -> DictConfig:
    """`key=text`, the text read as YAML; but a list setting takes a bare URL as it stands.

    URLs with brace ranges (`{000..007}.tar`) would otherwise be YAML mappings.
    """
    is_list = key in known and get_origin(known[key][0]) is list
    value: Any = text
    if not is_list or text.startswith("["):
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
    given = OmegaConf.create()
    OmegaConf.update(given, key, value)
    return given


def _reject_unknown(given: DictConfig, known: dict[str, Any], source: str) -> None:
    groups = {key.rpartition(".")[0] for key in known}
    for key in _leaves(given):
        if key in known:
            continue
        if key in groups:
            raise CallError(f"{source}: {key} is a group of settings, not a setting")
        nearest = max(known, key=lambda name: _likeness(key, name))
        raise CallError(f"{source}: unknown setting {key!r}; did you mean {nearest!r}?")


def _likeness(typed: str, name: str) -> float:
    """How like a known setting's name the typed one is, in [0, 1]; a prefix is a good match."""
    (group, _, last), (known_group, _, known_last) = typed.rpartition("."), name.rpartition(".")
    whole = difflib.SequenceMatcher(None, typed, name).ratio()
    start = difflib.SequenceMatcher(None, last, known_last[: len(last)]).ratio()
    return max(whole, start if group == known_group else 0.0)


def _leaves(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in map(str, config):
        value = None if OmegaConf.is_missing(config, key) else config._get_node(key)
        if isinstance(value, DictConfig) and not value._is_none():
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


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
