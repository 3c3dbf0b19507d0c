"""How every command is asked for: `python -m jobs.NAME [FILE.yaml ...] [key=value ...]`.

A command is a dataclass of settings and a function. This module turns the words of the call into
that dataclass (OmegaConf over the typed schema, later words win), prints `--help` from the schema,
and turns a wrong call into one line and exit status 1.
"""

from __future__ import annotations

import difflib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.text import Text

from jobs.pipeline.command.exit_status import EXIT_DONE, EXIT_INCOMPLETE, EXIT_WRONG_CALL
from jobs.pipeline.command.help import print_help
from jobs.pipeline.command.messages import FORMATTERS, messages_about, printable
from jobs.pipeline.command.settings import Config, Known, help_of
from jobs.pipeline.command.values import as_typed, read_text, read_yaml
from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.storage.redaction import redact, scrub

log = logging.getLogger(__name__)

RECIPES = Path(__file__).parents[2] / "conf"
"""The recipes that come with the package: in a checkout a link to its conf/, in a wheel files."""


def run_command(
    name: str, schema: type[Config], body: Callable[[Config, bool], int], argv: list[str]
) -> int:
    """Parse `argv` into `schema`, call `body(config, as_json)` and return its exit status.

    `body` raises `CallError` for what is wrong with the call, and `StorageError` for a storage that
    does not answer; these, and a wrong command line, are one line on stderr and status 1.
    """
    if "--help" in argv or "-h" in argv:
        print_help(name, schema, body.__doc__ or "")
        return EXIT_DONE
    as_json = "--json" in argv
    try:
        _log_to_stderr()
        config = parse([word for word in argv if word != "--json"], schema)
        run = getattr(config, "run", None)
        with messages_about(redact(run)) if isinstance(run, str) else nullcontext():
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


def _log_to_stderr() -> None:
    level = (os.environ.get("LOG_LEVEL") or "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        raise CallError(
            f"LOG_LEVEL={level}: no such level; use DEBUG, INFO, WARNING, ERROR or CRITICAL"
        )
    form = os.environ.get("LOG_FORMAT") or ("text" if sys.stderr.isatty() else "json")
    if form not in FORMATTERS:
        raise CallError(f"LOG_FORMAT={form}: no such format; use {' or '.join(FORMATTERS)}")
    to_stderr = logging.StreamHandler()
    to_stderr.setFormatter(FORMATTERS[form])
    logging.basicConfig(level=level, handlers=[to_stderr])


def parse(words: list[str], schema: type[Config]) -> Config:
    """The settings that `words` (YAML files and `key=value`) ask for; later words win.

    Raises:
        CallError: a file that cannot be read, an unknown key (the nearest known one is named), a
            value of the wrong type, or a required setting that is not given.
    """
    known = Known(schema)
    merged = OmegaConf.structured(schema)
    for word in words:
        given, source = _read_word(word, known)
        _reject_unknown(given, known, source)
        try:
            merged = OmegaConf.merge(merged, _typed(given, known, source))
        except OmegaConfBaseException as error:
            where = f"{error.full_key}: " if error.full_key else ""
            raise CallError(f"{source}: {where}{str(error).splitlines()[0]}") from error
    try:
        for key in sorted(OmegaConf.missing_keys(merged)):
            raise CallError(f"{key}= is required: {help_of(known[key][1])} (see --help)")
        return cast(Config, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        raise CallError(f"{error.full_key}: {str(error).splitlines()[0]}") from error


def _read_word(word: str, known: Known) -> tuple[dict[str, Any], str]:
    """One word of the call as nested settings, with the name to call it by in an error."""
    key, separator, text = word.partition("=")
    if separator and not word.startswith("-"):
        return _read_override(key, text, known), word
    if not word.endswith((".yaml", ".yml")):
        raise CallError(f"{word}: expected FILE.yaml, key=value, --json or --help")
    file = _configuration_file(word)
    try:
        loaded = read_yaml(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise CallError(f"{word}: not readable as YAML: {error}") from error
    if not isinstance(loaded, dict | None):
        raise CallError(f"{word}: expected a mapping of settings at the top level")
    return loaded or {}, word


def _configuration_file(word: str) -> Path:
    """The file of that path; else the package's own, where `word` is conf/NAME.yaml.

    Raises:
        CallError: there is neither.
    """
    recipe = RECIPES.parent / word
    for file in (Path(word), *([recipe] if Path(word).parts[0] == RECIPES.name else [])):
        if file.is_file():
            return file
    raise CallError(f"{word}: no such configuration file")


def _read_override(key: str, text: str, known: Known) -> dict[str, Any]:
    """`key=text` as nested settings; of what is no setting, but may be a group, as YAML has it."""
    if key in known:
        value = read_text(text, known[key][0])
    else:
        try:
            value = read_yaml(text)
        except yaml.YAMLError:
            value = text
    for name in reversed(known.split(key)):
        value = {name: value}
    return value


def _typed(given: dict[str, Any], known: Known, source: str, prefix: str = "") -> dict[str, Any]:
    """`given`, each setting's value as its type takes it."""
    typed = {}
    for name, value in given.items():
        key = f"{prefix}{name}"
        if key not in known:
            typed[name] = _typed(value, known, source, f"{key}.")
            continue
        hint, field = known[key]
        if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
            raise CallError(f"{source}: {key}: a list in a list; quote what holds brackets")
        # An empty text is what a shell leaves of a variable that is not set.
        is_missing = value == "" and field.default == MISSING
        typed[name] = MISSING if is_missing else as_typed(value, hint)
    return typed


def _reject_unknown(given: dict[str, Any], known: Known, source: str) -> None:
    groups = {key.rpartition(".")[0] for key in known}
    for key in _leaves(given, known):
        if key in known:
            continue
        if key in groups:
            raise CallError(f"{source}: {key} is a group of settings, not a setting")
        nearest = max(known.names(key), key=lambda name: _likeness(key, name))
        raise CallError(f"{source}: unknown setting {key!r}; did you mean {nearest!r}?")


def _likeness(typed: str, name: str) -> float:
    """How like a known setting's name the typed one is, in [0, 1]; a prefix is a good match."""
    (group, _, last), (known_group, _, known_last) = typed.rpartition("."), name.rpartition(".")
    whole = difflib.SequenceMatcher(None, typed, name).ratio()
    start = difflib.SequenceMatcher(None, last, known_last[: len(last)]).ratio()
    return max(whole, start if group == known_group else 0.0)


def _leaves(given: dict[str, Any], known: Known, prefix: str = "") -> Iterator[str]:
    for name, value in given.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key not in known:
            yield from _leaves(value, known, f"{key}.")
        else:
            yield key
