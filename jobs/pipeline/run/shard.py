"""A generation shard as a unit of work, and the name of its part."""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.storage.filesystem import REQUESTS_AT_ONCE
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.versions import Version, version_of


@dataclass(frozen=True)
class Shard:
    """A generation shard, as it lies in storage when the run begins."""

    url: str
    version: Version

    @property
    def id(self) -> str:
        """Name of its part: the file's own name, and a digest of where it lies."""
        redacted = redact(self.url)
        stem = redacted.rpartition("/")[2].split(".")[0]
        readable = re.sub(r"[^A-Za-z0-9_-]+", "-", stem)[:80]
        return f"{readable}-{hashlib.sha256(redacted.encode()).hexdigest()[:8]}"

    @property
    def source(self) -> dict[str, Any]:
        """What the part's footer says of the shard."""
        return {"url": redact(self.url), **asdict(self.version)}


def find_shards(urls: list[str]) -> list[Shard]:
    """The shards at `urls`, with their present versions.

    Raises:
        CallError: two of them would have one part.
        StorageError: a version cannot be asked for.
    """
    with ThreadPoolExecutor(max_workers=REQUESTS_AT_ONCE) as pool:
        versions = list(pool.map(version_of, urls))
    shards = [Shard(url, version) for url, version in zip(urls, versions, strict=True)]
    known: dict[str, Shard] = {}
    for shard in shards:
        if known.setdefault(shard.id, shard) is not shard:
            redacted = redact(shard.url)
            raise CallError(
                f"samples={redacted}: given twice, with different queries or users; parts are "
                "named by path alone, since a signed URL's query differs from day to day"
            )
    return shards


def require_version(shard: Shard) -> None:
    """Make sure that the shard still is what it was when the call began.

    Raises:
        FileNotFoundError: it is gone.
        StorageError: it has changed.
    """
    if version_of(shard.url) != shard.version:
        raise StorageError(redact(shard.url), "has changed since this call began; call again")
