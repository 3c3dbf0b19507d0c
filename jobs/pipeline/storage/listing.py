"""The files that a list of URLs, brace ranges and globs stands for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import braceexpand

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.storage.filesystem import REQUESTS_AT_ONCE, absolute, open_filesystem, scheme_of
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries

GLOB_CHARACTERS = set("*?[")


def expand(urls: list[str], setting: str) -> list[str]:
    """The files that a list of URLs, brace ranges and globs stands for, each once, in order.

    Args:
        urls: as the user gave them.
        setting: the setting they came from, for messages.

    Raises:
        CallError: nothing given, a pattern that matches nothing, or a file that is not there.
    """
    try:
        expanded = [url for given in urls for url in braceexpand.braceexpand(given)]
    except ValueError as error:
        raise CallError(f"{setting}: {error}") from error
    for url in expanded:
        scheme_of(url)
    patterns = [absolute(url) for url in expanded]
    with ThreadPoolExecutor(max_workers=REQUESTS_AT_ONCE) as pool:
        matches = list(pool.map(lambda pattern: _matches(pattern, setting), patterns))
    found = dict.fromkeys(url for urls_of_pattern in matches for url in urls_of_pattern)
    if not found:
        raise CallError(
            f"{setting}= is required: URLs, brace ranges or globs of shards (see --help)"
        )
    return list(found)


def _matches(url: str, setting: str) -> list[str]:
    fs, path = open_filesystem(url)
    redacted = redact(url)
    try:
        if not GLOB_CHARACTERS & set(path):
            # Not exists(): for some storages, what cannot be asked is not there.
            try:
                info = with_retries(redacted, lambda: fs.info(path))
            except FileNotFoundError as error:
                raise CallError(f"{setting}={redacted}: no such file") from error
            if info["type"] == "directory":
                raise CallError(
                    f"{setting}={redacted}: a directory; name its shards, as in {redacted}/*.tar"
                )
            return [url]
        names = sorted(with_retries(redacted, lambda: fs.glob(path)))
    except (StorageError, FileNotFoundError, NotImplementedError, ValueError) as error:
        reason = error.reason if isinstance(error, StorageError) else error
        raise CallError(f"{setting}={redacted}: cannot be listed: {reason}") from error
    if not names:
        raise CallError(f"{setting}={redacted}: matches no file")
    return [fs.unstrip_protocol(name) if "://" in url else name for name in names]
