"""What every sample of a run is scored against: reference shards, known by version and content.

`run.json` records each: where URL, size and version tag are as they were, the content is, and
nothing has to be read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from jobs.pipeline.errors import CallError
from jobs.pipeline.storage.filesystem import REQUESTS_AT_ONCE
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.versions import Version, version_of


@dataclass(frozen=True)
class Input:
    """A reference shard, as it lies in storage when the call begins."""

    url: str
    version: Version
    sha256: str | None = None
    """Of its content; None while nobody has read it."""

    def recorded(self) -> dict[str, Any]:
        """What `run.json` says of it."""
        return {"url": redact(self.url), **asdict(self.version), "sha256": self.sha256}


def find_inputs(urls: Sequence[str], recorded: object) -> list[Input]:
    """The files at `urls`, with their present versions; and their digests, where `recorded` tells.

    Args:
        recorded: what `run.json` says of the inputs, which may have been written by hand.

    Raises:
        StorageError, FileNotFoundError: a version cannot be asked for.
    """
    with ThreadPoolExecutor(max_workers=REQUESTS_AT_ONCE) as pool:
        versions = list(pool.map(version_of, urls))
    known = _digests_of(recorded)
    return [
        Input(url, version, known.get((redact(url), version.size, version.tag)))
        for url, version in zip(urls, versions, strict=True)
    ]


def require_inputs(inputs: Sequence[Input]) -> None:
    """Make sure that what was read meanwhile is what was there when the call began.

    Raises:
        CallError: a file has changed since, or is gone.
        StorageError: a version cannot be asked for.
    """
    with ThreadPoolExecutor(max_workers=REQUESTS_AT_ONCE) as pool:
        try:
            versions = list(pool.map(version_of, [each.url for each in inputs]))
        except FileNotFoundError as error:
            raise CallError(f"references=: gone while the run began: {error}") from error
    for each, now in zip(inputs, versions, strict=True):
        if now != each.version:
            raise CallError(
                f"references={redact(each.url)}: changed while the run began; call again"
            )


def recorded_digests(recorded: object) -> list[str] | None:
    """The contents that `run.json` tells of, sorted; None where it does not know one of them."""
    if not isinstance(recorded, list) or not recorded:
        return None
    digests = [each.get("sha256") if isinstance(each, dict) else None for each in recorded]
    known = [each for each in digests if isinstance(each, str)]
    return sorted(known) if len(known) == len(digests) else None


def _digests_of(recorded: object) -> dict[tuple[object, ...], str]:
    """By URL, size and tag. Entries that are not as `recorded` makes them tell nothing."""
    digests: dict[tuple[object, ...], str] = {}
    for entry in recorded if isinstance(recorded, list) else []:
        # A size alone does not tell two contents apart.
        if not (isinstance(entry, dict) and entry.get("tag")):
            continue
        version = (entry.get("url"), entry.get("size"), entry["tag"])
        sha256 = entry.get("sha256")
        if isinstance(sha256, str) and all(isinstance(x, str | int | None) for x in version):
            digests[version] = sha256
    return digests


def digest_of(digests: Iterable[str]) -> str:
    """One digest of the contents of several files, whatever their names and order."""
    joined = " ".join(sorted(digests))
    return f"sha256:{hashlib.sha256(joined.encode()).hexdigest()[:16]}"
