"""`masc-eval`, and `python -m jobs`: lists the commands, and calls one by its name.

The list is read from the commands' files, and none of them is run for it: they import torch and
Ray, which takes seconds.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jobs.pipeline.command.exit_status import EXIT_DONE, EXIT_WRONG_CALL
from jobs.pipeline.command.interrupts import exit_at_interrupt, run_main
from jobs.pipeline.storage.redaction import scrub

FOLDER = Path(__file__).parent

USAGE = """\
masc-eval NAME [FILE.yaml ...] [key=value ...] [--json]

{commands}

masc-eval NAME --help prints a command's settings.
"""

VERSION = "version"

VERSIONS_OF = ("masc-eval", "torch", "transformers", "ray")


def main() -> int:
    """The command line."""
    name, *words = sys.argv[1:] or ["--help"]
    commands = find_commands()
    if name in ("--help", "-h"):
        sys.stdout.write(USAGE.format(commands=_table(_descriptions(commands))))
        return EXIT_DONE
    if name in (VERSION, f"--{VERSION}"):
        sys.stdout.write(_table(_versions()) + "\n")
        return EXIT_DONE
    if name not in commands:
        nearest = max(
            [*commands, VERSION],
            key=lambda known: difflib.SequenceMatcher(None, name, known).ratio(),
        )
        sys.stderr.write(f"masc-eval: unknown command {scrub(name)!r}; did you mean {nearest!r}?\n")
        return EXIT_WRONG_CALL
    sys.argv = [f"masc-eval {name}", *words]
    exit_at_interrupt()  # before imports that take seconds
    return run_main(importlib.import_module(f"jobs.{name}").main)


def find_commands() -> dict[str, Path]:
    """The file that describes each command, by name: of a module, or of a package that is run."""
    modules = {path.stem: path for path in FOLDER.glob("*.py") if not path.stem.startswith("_")}
    packages = {
        path.parent.name: path.with_name("__init__.py") for path in FOLDER.glob("*/__main__.py")
    }
    return dict(sorted({**modules, **packages}.items()))


def _descriptions(commands: dict[str, Path]) -> dict[str, str]:
    """The first line of what each command's file says of itself, without how it is called."""
    described = {}
    for name, path in commands.items():
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        described[name] = re.sub(r"^`.*?`: ", "", docstring.partition("\n")[0])
    return {**described, VERSION: "prints the versions of this and of what the scores depend on."}


def _versions() -> dict[str, str]:
    installed = {}
    for name in VERSIONS_OF:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:  # as where the source is run without an installation
            installed[name] = "not installed"
    return {**installed, "python": platform.python_version()}


def _table(lines: dict[str, str]) -> str:
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())


if __name__ == "__main__":
    sys.exit(main())
