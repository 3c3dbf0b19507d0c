"""What people are shown: without credentials, and without what a terminal would obey.

Keys, names and prompts come from strangers' shards, and errors of storage drivers quote whole URLs;
both end in log lines. What a command shows passes here on its way out.
"""

from __future__ import annotations

import logging
import re
from typing import Any

_CLOSING = "]\"')}>,.;:"
"""What may follow a URL without a space and is not part of it."""

_MAX_URLS = 20
"""In one word; what holds more is no message, and would take its time."""


def scrub(text: str) -> str:
    """`text` with user, password, query and fragment of every URL in it removed.

    Where a URL ends within a text can only be guessed: what may belong to a secret goes, and
    rather something more than something less.

    >>> scrub("403 of 'https://me:secret@host/a.tar?X-Amz-Signature=secret'")
    "403 of 'https://host/a.tar'"
    """
    return re.sub(r"\S+", lambda word: _scrub_word(word[0]), text)


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


def _scrub_word(word: str) -> str:
    if word.count("://") > _MAX_URLS:
        return "..."
    path, _, query = word.partition("?")
    if "://" not in path and "=" in query and ("/" in path or "://" in query):
        return path + _closing(query)  # a URL without its host, as HTTP libraries quote it
    shown = ""
    while "://" in word:
        head, separator, rest = word.partition("://")
        shown += head + separator
        word = _without_query(_without_user(rest))
    return shown + word


def _without_user(rest: str) -> str:
    """What follows `scheme://`, from the host on."""
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    user, at, host = authority.rpartition("@")
    if ":" in user or (":" in host and not host.rpartition(":")[2].isdigit()):
        # A password may hold any character, also those that would end it.
        return rest.rpartition("@")[2]
    return host + rest.removeprefix(authority) if at else rest


def _without_query(rest: str) -> str:
    place = re.split("[?#]", rest, maxsplit=1)[0]
    return rest if place == rest else place + _closing(rest)


def _closing(word: str) -> str:
    return word[len(word.rstrip(_CLOSING)) :]
