"""The files that a list of URLs, brace ranges and globs stands for."""

from __future__ import annotations

import logging
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import braceexpand
from fsspec import AbstractFileSystem

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.storage.filesystem import REQUESTS_AT_ONCE, absolute, open_filesystem, scheme_of
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries

log = logging.getLogger(__name__)

GLOB_CHARACTERS = re.compile(r"[*?[]")


@dataclass(frozen=True)
class _Found:
    url: str
    identity: str
    """The same for every name of one file, so far as names tell: hard links and mounts do not."""


def expand(urls: list[str], setting: str) -> list[str]:
    """The files that a list of URLs, brace ranges and globs stands for, in order.

    A path that is there literally is meant literally, whatever characters it has. A file that is
    named more than once, by whichever of its names, counts once, under the first; a warning says
    so. Local files come as plain paths.

    Args:
        urls: as the user gave them.
        setting: the setting they came from, for messages.

    Raises:
        CallError: nothing given, a pattern that matches nothing, or a file that is not there.
    """
    try:
        expanded = [url for given in urls for url in _without_braces(given)]
    except ValueError as error:
        raise CallError(f"{setting}: {error}") from error
    with ThreadPoolExecutor(max_workers=REQUESTS_AT_ONCE) as pool:
        matches = list(pool.map(lambda url: _matches(absolute(url), setting), expanded))
    found: dict[str, str] = {}
    again: list[_Found] = []
    for match in (match for of_pattern in matches for match in of_pattern):
        if match.identity in found:
            again.append(match)
        else:
            found[match.identity] = match.url
    if not found:
        raise CallError(
            f"{setting}= is required: URLs, brace ranges or globs of shards (see --help)"
        )
    if again:
        other, first = redact(again[0].url), redact(found[again[0].identity])
        names = first if other == first else f"{first} is {other}"
        more = f", and {len(again) - 1} names more" if len(again) > 1 else ""
        log.warning("%s: named more than once, counts once: %s%s", setting, names, more)
    return list(found.values())


def _without_braces(url: str) -> list[str]:
    is_there = scheme_of(url) == "file" and os.path.lexists(open_filesystem(url)[1])
    expanded = [url] if is_there else list(braceexpand.braceexpand(url))
    for each in expanded:
        scheme_of(each)
    return expanded


def _matches(url: str, setting: str) -> list[_Found]:
    fs, path = open_filesystem(url)
    redacted = redact(url)
    try:
        if with_retries(redacted, lambda: _is_pattern(fs, path)):
            pattern = with_retries(redacted, lambda: _without_literal_globs(fs, path))
            names = sorted(with_retries(redacted, lambda: fs.glob(pattern)))
            found = [_found(fs, fs.unstrip_protocol(name), name) for name in names]
        else:
            _require_file(fs, path, f"{setting}={redacted}")
            found = [_found(fs, url, path)]
    except (StorageError, FileNotFoundError, NotImplementedError, ValueError) as error:
        reason = error.reason if isinstance(error, StorageError) else error
        raise CallError(f"{setting}={redacted}: cannot be listed: {reason}") from error
    if not found:
        raise CallError(f"{setting}={redacted}: matches no file")
    return found


def _require_file(fs: AbstractFileSystem, path: str, named: str) -> None:
    # Not exists(): for some storages, what cannot be asked is not there.
    try:
        info = with_retries(named, lambda: fs.info(path))
    except FileNotFoundError as error:
        raise CallError(f"{named}: no such file") from error
    if info["type"] == "directory":
        url = named.partition("=")[2]
        raise CallError(f"{named}: a directory; name its shards, as in {url}/*.tar")


def _is_pattern(fs: AbstractFileSystem, path: str) -> bool:
    return GLOB_CHARACTERS.search(path) is not None and not fs.exists(path)


def _without_literal_globs(fs: AbstractFileSystem, pattern: str) -> str:
    """`pattern` with the names of directories that are there literally escaped."""
    names = pattern.split("/")
    escaped = list(names)
    for i, name in enumerate(names[:-1]):
        if GLOB_CHARACTERS.search(name):
            if not fs.isdir("/".join(names[: i + 1])):
                break
            escaped[i] = GLOB_CHARACTERS.sub(r"[\g<0>]", name)
    return "/".join(escaped)


def _found(fs: AbstractFileSystem, url: str, path: str) -> _Found:
    if scheme_of(url) == "file":
        return _Found(absolute(path), file_of(path))
    return _Found(url, fs.unstrip_protocol(path))


def file_of(url: str) -> str:
    """What tells one file from another, whatever it is called: its real path, where it has one."""
    path = url.removeprefix("file://")
    return url if "://" in path else os.path.realpath(path)
