"""What tells one content of a file from another without reading it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem

from jobs.pipeline.errors import StorageError
from jobs.pipeline.storage.filesystem import is_local, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import ATTEMPTS, with_retries

TAGS = ("ETag", "etag", "md5Hash", "content_md5", "blob_id", "xet_hash")
"""What storages call their tag of a content; the last two are Hugging Face's."""


@dataclass(frozen=True)
class Version:
    """What tells one content of a file from another without reading it."""

    size: int | None
    """Bytes, where the storage says."""
    tag: str
    """The storage's own version tag: ETag, git's id of the content, or time of change."""


def version_of(url: str) -> Version:
    """The present version of the file at `url`.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: the storage does not say.
    """
    fs, path = open_filesystem(url)
    return version_at(fs, path, redact(url))


def version_at(fs: AbstractFileSystem, path: str, what: str, attempts: int = ATTEMPTS) -> Version:
    """The present version of the file at `path`; `what` names it in errors.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: the storage does not say.
    """
    return _version(fs, with_retries(what, lambda: fs.info(path), attempts))


def read_versioned(fs: AbstractFileSystem, path: str) -> tuple[Version, bytes]:
    """The content of the file at `path`, and its version, which belong together.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: it cannot be read, or changes each time it is.
    """

    def read() -> tuple[Version, bytes]:
        version = version_at(fs, path, path, attempts=1)
        content = fs.cat_file(path)
        if version_at(fs, path, path, attempts=1) != version:
            raise StorageError(path, "changed while it was read", is_transient=True)
        return version, content

    return with_retries(path, read)


def versions_in(fs: AbstractFileSystem, folder: str) -> dict[str, Version]:
    """The present versions of the files in a folder, by their names, from one listing; none where
    there is no such folder.

    Raises:
        OSError, or what the storage's driver raises: it cannot be listed.
    """
    try:
        infos = fs.ls(folder, detail=True)
    except FileNotFoundError:
        return {}
    versions = {}
    for info in infos:
        # Another process may remove a file as it is looked at.
        with suppress(FileNotFoundError):
            if info["type"] != "directory":
                versions[info["name"].rpartition("/")[2]] = _version(fs, info)
    return versions


def _version(fs: AbstractFileSystem, info: dict[str, Any]) -> Version:
    tag = next((info[name] for name in TAGS if info.get(name)), None)
    if tag is None and "mtime" in info:
        tag = f"{Path(info['name']).stat().st_mtime_ns}" if is_local(fs) else info["mtime"]
    if tag is None:
        tag = info.get("LastModified") or info.get("updated") or info.get("created") or ""
    return Version(info.get("size"), str(tag).strip('"'))
