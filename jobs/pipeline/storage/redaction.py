"""URLs without their credentials, alone and within what people are redacted."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

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


def _scrub_word(word: str) -> str:
    if word.count("://") > _MAX_URLS:
        return "..."
    path, _, query = word.partition("?")
    if "://" not in path and "=" in query and ("/" in path or "://" in query):
        return path + _closing(query)  # a URL without its host, as HTTP libraries quote it
    redacted = ""
    while "://" in word:
        head, separator, rest = word.partition("://")
        redacted += head + separator
        word = _without_query(_without_user(rest))
    return redacted + word


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


def redact(url: str) -> str:
    """`url` with user, password, query and fragment removed, for logs and files."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if parts.scheme in ("abfs", "hf") and ":" not in user:
        host = f"{user}{at}{host}"  # CONTAINER@ACCOUNT, or a revision
    return f"{parts.scheme}://{host}{parts.path}"
