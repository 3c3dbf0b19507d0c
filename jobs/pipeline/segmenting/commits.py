"""`OUT/segmented/`: which shards have their masks, and what they were made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.run.fingerprint import differing
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.segmenting.coverage import SegmentedCounts
from jobs.pipeline.storage.filesystem import REQUESTS_AT_ONCE, join, open_filesystem
from jobs.pipeline.storage.placing import remove_unfinished
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import reason_of, storage_errors, with_retries
from jobs.pipeline.storage.versions import version_of
from jobs.pipeline.storage.writing import write_in_one_step

FOLDER = "segmented"

FORMAT = 1
"""Of the files in it."""

Commit = Mapping[str, Any]
"""What one of them says."""


class SegmentedDirectory:
    """The directory of shards with masks, local or on object storage."""

    def __init__(self, url: str) -> None:
        """Name the directory; nothing is read or written yet."""
        self.url = url
        self._fs, self._path = open_filesystem(url, keeps_listings=False)

    def open(self, overwrite: bool) -> None:
        """Make sure that it can be written to.

        Args:
            overwrite: whether what it says to be done is forgotten; its shards stay until others
                take their places.

        Raises:
            CallError: it cannot.
        """
        redacted = redact(self.url)
        try:
            with storage_errors(redacted):
                for name in ("run.json", "failed", FOLDER) if overwrite else ():
                    with suppress(FileNotFoundError):
                        self._fs.rm(join(self._path, name), recursive=True)
                self._fs.makedirs(join(self._path, FOLDER), exist_ok=True)
        except (StorageError, FileNotFoundError) as error:
            raise CallError(f"out={redacted}: cannot be written to: {reason_of(error)}") from error

    def remove_unfinished(self, shards: Iterable[Shard]) -> None:
        """Remove what killed workers left of these shards.

        Raises:
            StorageError: it cannot be removed.
        """
        remove_unfinished(self.url, {file_name(shard) for shard in shards})

    def target(self, shard: Shard) -> str:
        """Where the shard with masks is: under the name of its source."""
        return join(self.url, file_name(shard))

    def commit(self, shard: Shard, fingerprint: Mapping[str, Any], counts: SegmentedCounts) -> None:
        """Say that the shard is done, and what it was made from.

        Raises:
            FileNotFoundError, StorageError: it cannot be said.
        """
        target = self.target(shard)
        document = {
            "format": FORMAT,
            "source": shard.source,
            "output": {"url": redact(target), **asdict(version_of(target))},
            "fingerprint": fingerprint,
            **counts.described(),
        }
        content = f"{json.dumps(document, indent=2)}\n".encode()
        write_in_one_step(self._fs, self._commit_path(shard), content)

    def commits(self, shards: Iterable[Shard]) -> dict[str, Commit]:
        """What is said of these shards, by their ids; those of which nothing is said are left out.

        Raises:
            StorageError: it cannot be read.
        """
        asked = list(shards)
        with ThreadPoolExecutor(max_workers=REQUESTS_AT_ONCE) as pool:
            found = list(pool.map(self._read, asked))
        return {
            shard.id: commit
            for shard, commit in zip(asked, found, strict=True)
            if commit is not None
        }

    def still_to_do(self, shards: Iterable[Shard], fingerprint: Mapping[str, Any]) -> list[Shard]:
        """The shards that have no masks yet, or whose source or output is no longer what it was.

        Raises:
            CallError: a shard was made by another configuration.
        """
        asked = list(shards)
        commits = self.commits(asked)
        for commit in commits.values():
            if differences := differing(fingerprint, commit["fingerprint"]):
                raise CallError(
                    f"out={redact(self.url)} was made with another configuration: "
                    f"{'; '.join(differences)}. Name another out, or start it anew with "
                    "overwrite=true"
                )
        with ThreadPoolExecutor(max_workers=REQUESTS_AT_ONCE) as pool:
            current = pool.map(lambda each: self._is_current(each, commits.get(each.id)), asked)
            return [shard for shard, is_done in zip(asked, current, strict=True) if not is_done]

    def _is_current(self, shard: Shard, commit: Commit | None) -> bool:
        if commit is None or commit["source"] != shard.source:
            return False
        try:
            version = version_of(self.target(shard))
        except FileNotFoundError:
            return False
        return {"url": redact(self.target(shard)), **asdict(version)} == commit["output"]

    def _read(self, shard: Shard) -> Commit | None:
        path = self._commit_path(shard)
        try:
            document = json.loads(with_retries(path, lambda: self._fs.cat_file(path)))
        except (FileNotFoundError, ValueError):
            return None
        needed = {"source", "output", "fingerprint", *SegmentedCounts().described()}
        return document if isinstance(document, dict) and needed <= set(document) else None

    def _commit_path(self, shard: Shard) -> str:
        return join(self._path, FOLDER, f"{shard.id}.json")


def file_name(shard: Shard) -> str:
    """The shard's own, without its folder and what else stands in a URL."""
    return redact(shard.url).rpartition("/")[2]
