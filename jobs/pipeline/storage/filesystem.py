"""Where data lies: URLs to file systems, what a URL list stands for, and writing in one step.

Every path in a command goes through fsspec, so a local path, `s3://`, `gs://`, `az://`, `hf://`,
`http(s)://` and `memory://` read the same. A URL's scheme is checked against a list before anything
is opened: fsspec's chains (`a::b`) and webdataset's shell commands (`pipe:`) are not on it.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import fsspec
from fsspec import AbstractFileSystem

from jobs.pipeline.errors import CallError
from jobs.pipeline.storage.redaction import redact

SCHEMES = ("file", "s3", "gs", "gcs", "az", "abfs", "hf", "http", "https", "memory")

BUCKETS = ("s3", "gs", "gcs")
"""Schemes whose URLs begin with a bucket; what stands before an @ would be taken for part of it."""

NOT_FOR_RESULTS = {
    "memory": "memory ends with this process",
    "hf": "every file written to the hub would be a commit",
    "http": "is read, and not written to",
    "https": "is read, and not written to",
}

REQUESTS_AT_ONCE = 32
"""To object storage: a brace range of ten thousand shards is as many requests."""


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
            f"{redact(url)}: URLs of {scheme} hold no user and password; its driver "
            "finds them in environment variables and files of its own"
        )
    try:
        options = {} if keeps_listings else {"use_listings_cache": False}
        fs, path = fsspec.core.url_to_fs(absolute(url), **options)
    except ImportError as error:
        raise CallError(f"{redact(url)}: {error}") from error
    except ValueError as error:
        raise CallError(f"{redact(url)}: not a usable {scheme} URL: {error}") from error
    return fs, path


def is_local(fs: AbstractFileSystem) -> bool:
    """Whether its paths are those of this machine."""
    return speaks(fs, "file")


def speaks(fs: AbstractFileSystem, scheme: str) -> bool:
    """Whether it serves URLs of this scheme."""
    protocols = fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)
    return scheme in protocols


def scheme_of(url: str) -> str:
    """The scheme of a URL, `file` for a plain path.

    Raises:
        CallError: a scheme outside `SCHEMES`.
    """
    head, separator, _ = url.partition("://")
    scheme = head if separator else "file"
    if "::" in url or scheme not in SCHEMES or url.startswith("pipe:"):
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise CallError(f"{redact(url)}: scheme not allowed; use a path or one of {known}")
    return scheme


def refuse_for_results(url: str, setting: str) -> None:
    """Refuse a place where results cannot lie, though data may be read there.

    Raises:
        CallError: of these schemes `NOT_FOR_RESULTS` says why not.
    """
    if reason := NOT_FOR_RESULTS.get(scheme_of(url)):
        raise CallError(f"{setting}={redact(url)}: {reason}; name a directory or a bucket")


def absolute(url: str) -> str:
    """`url` as every machine would name it: plain paths made absolute, others as they are."""
    if "://" in url:
        return url
    # Not Path.resolve: it would follow links, and a run is known by the name it was given.
    return os.path.abspath(Path(url).expanduser())  # noqa: PTH100


def join(base: str, *names: str) -> str:
    """`base/name/...`, for paths and URLs alike."""
    return "/".join([base.rstrip("/"), *names])
