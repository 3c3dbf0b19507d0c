"""Where data lies: URLs to file systems, what a URL list stands for, and writing in one step.

Every path in a command goes through fsspec, so a local path, `s3://`, `gs://`, `az://`,
`http(s)://` and `memory://` read the same. A URL's scheme is checked against a list before anything
is opened: fsspec's chains (`a::b`) and webdataset's shell commands (`pipe:`) are not on it.
"""

from __future__ import annotations

import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import braceexpand
import fsspec
from fsspec import AbstractFileSystem

from jobs.pipeline.command_line import CallError

SCHEMES = ("file", "s3", "gs", "gcs", "az", "abfs", "http", "https", "memory")
REQUESTS_AT_ONCE = 32
"""To object storage: a brace range of ten thousand shards is as many requests."""

STREAM_BLOCK_SIZE = 8 << 20
"""Bytes a request: a request's delay of some 30 ms costs less than its transfer."""

STREAM_BLOCKS = 3
"""Blocks of a stream in memory: one read from, one before it, one on its way."""

GLOB_CHARACTERS = set("*?[")


def open_filesystem(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system that `url` lies on, and its path there.

    Raises:
        CallError: a scheme that is not served, or whose driver is not installed.
    """
    scheme = scheme_of(url)
    try:
        fs, path = fsspec.core.url_to_fs(absolute(url))
    except ImportError as error:
        raise CallError(f"{without_credentials(url)}: {error}") from error
    except ValueError as error:
        raise CallError(
            f"{without_credentials(url)}: not a usable {scheme} URL: {error}"
        ) from error
    return fs, path


def open_stream(url: str) -> IO[bytes]:
    """A file that is read once, from its start to its end.

    The next block of a remote one is asked for while this one is read, so that a request's delay
    is not waited for. Memory: `STREAM_BLOCKS` blocks of `STREAM_BLOCK_SIZE`.
    """
    fs, path = open_filesystem(url)
    return fs.open(
        path,
        "rb",
        block_size=STREAM_BLOCK_SIZE,
        cache_type="background",
        cache_options={"maxblocks": STREAM_BLOCKS},
    )


def scheme_of(url: str) -> str:
    """The scheme of a URL, `file` for a plain path.

    Raises:
        CallError: a scheme outside `SCHEMES`.
    """
    head, separator, _ = url.partition("://")
    scheme = head if separator else "file"
    if "::" in url or scheme not in SCHEMES or url.startswith("pipe:"):
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise CallError(
            f"{without_credentials(url)}: scheme not allowed; use a path or one of {known}"
        )
    return scheme


def absolute(url: str) -> str:
    """`url` as every machine would name it: plain paths made absolute, others as they are."""
    if "://" in url:
        return url
    # Not Path.resolve: it would follow links, and a run is known by the name it was given.
    return os.path.abspath(Path(url).expanduser())  # noqa: PTH100


def without_credentials(url: str) -> str:
    """`url` with user, password, query and fragment removed, for logs and files."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def join(base: str, *names: str) -> str:
    """`base/name/...`, for paths and URLs alike."""
    return "/".join([base.rstrip("/"), *names])


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
    shown = without_credentials(url)
    try:
        if not GLOB_CHARACTERS & set(path):
            if fs.isdir(path):
                raise CallError(
                    f"{setting}={shown}: a directory; name its shards, as in {shown}/*.tar"
                )
            if not fs.exists(path):
                raise CallError(f"{setting}={shown}: no such file")
            return [url]
        names = sorted(fs.glob(path))
    except (OSError, NotImplementedError) as error:
        raise CallError(f"{setting}={shown}: cannot be listed: {error}") from error
    if not names:
        raise CallError(f"{setting}={shown}: matches no file")
    return [fs.unstrip_protocol(name) if "://" in url else name for name in names]


@dataclass(frozen=True)
class Version:
    """What tells one content of a file from another without reading it."""

    size: int | None
    """Bytes, where the storage says."""
    tag: str
    """The storage's own version tag: ETag, or time of change."""


def version_of(url: str) -> Version:
    """The present version of the file at `url`."""
    fs, path = open_filesystem(url)
    info: dict[str, Any] = fs.info(path)
    tag = info.get("ETag") or info.get("etag") or info.get("md5Hash") or info.get("content_md5")
    if tag is None and "mtime" in info:
        tag = f"{Path(path).stat().st_mtime_ns}" if scheme_of(url) == "file" else info["mtime"]
    if tag is None:
        tag = info.get("LastModified") or info.get("updated") or info.get("created") or ""
    return Version(info.get("size"), str(tag).strip('"'))


def write_in_one_step(fs: AbstractFileSystem, path: str, content: bytes) -> None:
    """Make `path` hold `content`; no reader ever sees a part of it.

    Locally a file beside it is written, synced and renamed over it; elsewhere it is one PUT.
    """
    if _is_local(fs):
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    else:
        fs.pipe_file(path, content)


def _is_local(fs: AbstractFileSystem) -> bool:
    protocol = fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)
    return "file" in protocol
