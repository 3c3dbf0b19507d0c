"""What people are shown: without credentials, and without what a terminal would obey.

Keys, names and prompts come from strangers' shards, and errors of storage drivers quote whole URLs;
both end in log lines. What a command shows passes here on its way out.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.pipeline.storage.redaction import scrub


def printable(text: str) -> str:
    """`text` on one line, with a space for every character that a terminal may obey."""
    return "".join(char if char.isprintable() else " " for char in text)


class MessageFormatter(logging.Formatter):
    """Log lines that are scrubbed and printable: one line a message, and its traceback's lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without a traceback."""
        return printable(scrub(super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:
        """The traceback."""
        return "\n".join(printable(scrub(line)) for line in super().formatException(ei).split("\n"))


_runs: list[str] = []
"""The runs that this process is about, the innermost last: it does one at a time."""


@contextmanager
def messages_about(run: str) -> Iterator[None]:
    """Within, what is logged is about this run, in every thread.

    Args:
        run: its URL, without credentials.
    """
    _runs.append(run)
    try:
        yield
    finally:
        _runs.remove(run)


class JsonFormatter(MessageFormatter):
    """One JSON document a line, for what collects logs: `time`, `level`, `message`, then `run`,
    `shard` and `key`, null where it is about none, and a `traceback` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The document."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        document = {
            "time": time,
            "level": record.levelname,
            "message": printable(scrub(record.getMessage())),
            "run": _runs[-1] if _runs else None,
            "shard": getattr(record, "shard", None),
            "key": getattr(record, "key", None),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False)


FORMATTERS = {
    "text": MessageFormatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"),
    "json": JsonFormatter(),
}
"""By what LOG_FORMAT asks for."""


NO_EDGE = 10_000
"""Characters, wider than any line."""


def console_for_results(highlight: bool = True) -> Console:
    """Stdout, as wide as it is; a file or a pipe has no edge to fold at."""
    return Console(width=None if sys.stdout.isatty() else NO_EDGE, highlight=highlight)


def print_lines(lines: Iterable[tuple[str, str]]) -> None:
    """What, and what of it, a line each, on stdout."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for what, text in lines:
        table.add_row(what, Text(printable(scrub(text))))
    console_for_results().print(table)
