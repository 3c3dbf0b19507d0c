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
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlsplit

import braceexpand
import fsspec
from fsspec import AbstractFileSystem

from jobs.pipeline.command_line import CallError
from jobs.pipeline.retrying import ATTEMPTS, StorageError, reliably, storage_errors

SCHEMES = ("file", "s3", "gs", "gcs", "az", "abfs", "http", "https", "memory")
BUCKETS = ("s3", "gs", "gcs")
"""Schemes whose URLs begin with a bucket; what stands before an @ would be taken for part of it."""

REQUESTS_AT_ONCE = 32
"""To object storage: a brace range of ten thousand shards is as many requests."""

STREAM_BLOCK_SIZE = 8 << 20
"""Bytes a request: a request's delay of some 30 ms costs less than its transfer."""

STREAM_BLOCKS = 3
"""Blocks of a stream in memory: one read from, one before it, one on its way."""

GLOB_CHARACTERS = set("*?[")


def open_filesystem(url: str, keeps_listings: bool = True) -> tuple[AbstractFileSystem, str]:
    """The file system that `url` lies on, and its path there.

    Args:
        url: of a file or directory.
        keeps_listings: whether a listing may be answered from memory; not where others write.

    Raises:
        CallError: a scheme that is not served, or whose driver is not installed; or a user and
            password where there is no place for them.
    """
    scheme = scheme_of(url)
    if scheme in BUCKETS and "@" in urlsplit(url).netloc:
        raise CallError(
            f"{without_credentials(url)}: URLs of {scheme} hold no user and password; its driver "
            "finds them in environment variables and files of its own"
        )
    try:
        options = {} if keeps_listings else {"use_listings_cache": False}
        fs, path = fsspec.core.url_to_fs(absolute(url), **options)
    except ImportError as error:
        raise CallError(f"{without_credentials(url)}: {error}") from error
    except ValueError as error:
        raise CallError(
            f"{without_credentials(url)}: not a usable {scheme} URL: {error}"
        ) from error
    return fs, path


class Stream:
    """A file that is read once, from its start to its end.

    What ends before the size that the storage gave for it was cut off: an error, never a shorter
    file.
    """

    def __init__(self, file: IO[bytes], shown: str) -> None:
        """Read `file`; `shown` names it in errors."""
        self._file = file
        self._shown = shown
        self._at = 0
        size = getattr(file, "size", None)
        self._size = size if isinstance(size, int) else None

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def read(self, n: int) -> bytes:
        """The next `n` bytes, fewer only at the end.

        Raises:
            FileNotFoundError: the file is gone.
            StorageError: it cannot be read on.
        """
        with storage_errors(self._shown):
            block = self._file.read(n)
        self._at += len(block)
        if self._size is not None and len(block) < n and self._at < self._size:
            reason = f"cut off after {self._at} of {self._size} bytes"
            raise StorageError(self._shown, reason, may_pass=True)
        return block


def open_stream(url: str) -> Stream:
    """A file to read from its start to its end.

    The next block of a remote one is asked for while this one is read, so that a request's delay
    is not waited for. Memory: `STREAM_BLOCKS` blocks of `STREAM_BLOCK_SIZE`.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: it cannot be opened.
    """
    fs, path = open_filesystem(url)
    shown = without_credentials(url)
    with storage_errors(shown):
        file = fs.open(
            path,
            "rb",
            block_size=STREAM_BLOCK_SIZE,
            cache_type="background",
            cache_options={"maxblocks": STREAM_BLOCKS},
        )
    return Stream(file, shown)


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
    user, at, host = parts.netloc.rpartition("@")
    if parts.scheme == "abfs" and ":" not in user:
        host = f"{user}{at}{host}"  # CONTAINER@ACCOUNT
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
            if reliably(shown, lambda: fs.isdir(path)):
                raise CallError(
                    f"{setting}={shown}: a directory; name its shards, as in {shown}/*.tar"
                )
            if not reliably(shown, lambda: fs.exists(path)):
                raise CallError(f"{setting}={shown}: no such file")
            return [url]
        names = sorted(reliably(shown, lambda: fs.glob(path)))
    except (StorageError, FileNotFoundError, NotImplementedError) as error:
        reason = error.reason if isinstance(error, StorageError) else error
        raise CallError(f"{setting}={shown}: cannot be listed: {reason}") from error
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
    """The present version of the file at `url`.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: the storage does not say.
    """
    fs, path = open_filesystem(url)
    info: dict[str, Any] = reliably(without_credentials(url), lambda: fs.info(path))
    tag = info.get("ETag") or info.get("etag") or info.get("md5Hash") or info.get("content_md5")
    if tag is None and "mtime" in info:
        tag = f"{Path(path).stat().st_mtime_ns}" if scheme_of(url) == "file" else info["mtime"]
    if tag is None:
        tag = info.get("LastModified") or info.get("updated") or info.get("created") or ""
    return Version(info.get("size"), str(tag).strip('"'))


def write_in_one_step(
    fs: AbstractFileSystem, path: str, content: bytes, attempts: int = ATTEMPTS
) -> None:
    """Make `path` hold `content`; no reader ever sees a part of it.

    Locally a file beside it is written, synced and renamed over it; elsewhere it is one PUT.

    Raises:
        StorageError: it cannot be written.
    """
    write = _write_locally if _is_local(fs) else fs.pipe_file
    reliably(path, lambda: write(path, content), attempts)


def _write_locally(path: str, content: bytes) -> None:
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


def _is_local(fs: AbstractFileSystem) -> bool:
    protocol = fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)
    return "file" in protocol
