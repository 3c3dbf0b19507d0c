"""The directory of a run: what is committed, what was given up on, and what is still to do.

    RUN/run.json                    configuration, fingerprint, versions, counts, timings, state
    RUN/driver.json                 the driver that has the run now (`claim`)
    RUN/scores/<shard-id>.parquet   one committed part a shard
    RUN/failed/<shard-id>.json      a shard given up on

The appearing of a part under its final name is its commit. Its footer says what it was made from,
so that a resumed run knows which parts still stand.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.pipeline.command_line import CallError
from jobs.pipeline.fingerprint import Fingerprint, differing
from jobs.pipeline.retrying import ATTEMPTS, StorageError, reason_of, reliably, storage_errors
from jobs.pipeline.storage import (
    REQUESTS_AT_ONCE,
    Version,
    join,
    open_filesystem,
    version_of,
    without_credentials,
    write_in_one_step,
)

FOOTER_KEY = b"masc"
"""Key of the part's own metadata in its Parquet footer: JSON, {"fingerprint", "source"}."""


class CommitError(StorageError):
    """A part could not be written."""


@dataclass(frozen=True)
class Shard:
    """A generation shard, as it lies in storage when the run begins."""

    url: str
    version: Version

    @property
    def id(self) -> str:
        """Name of its part: the file's own name, and a digest of where it lies."""
        shown = without_credentials(self.url)
        stem = shown.rpartition("/")[2].split(".")[0]
        readable = re.sub(r"[^A-Za-z0-9_-]+", "-", stem)[:80]
        return f"{readable}-{hashlib.sha256(shown.encode()).hexdigest()[:8]}"

    @property
    def source(self) -> dict[str, Any]:
        """What the part's footer says of the shard."""
        return {"url": without_credentials(self.url), **asdict(self.version)}


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
            shown = without_credentials(shard.url)
            raise CallError(
                f"samples={shown}: given twice, with different queries or users; parts are named "
                "by path alone, since a signed URL's query differs from day to day"
            )
    return shards


class RunDirectory:
    """A run's directory, local or on object storage."""

    def __init__(self, url: str) -> None:
        """Name the directory; nothing is read or written yet."""
        self.url = url
        self._fs, self._path = open_filesystem(url, keeps_listings=False)

    def prepare(self, fingerprint: Fingerprint, overwrite: bool) -> None:
        """Make sure that what the directory holds was made by the same configuration.

        Raises:
            CallError: it was not, naming the keys that differ; or the place cannot be written to.
        """
        shown = without_credentials(self.url)
        try:
            with storage_errors(shown):
                if overwrite:
                    self._remove_results()
                self._fs.makedirs(join(self._path, "scores"), exist_ok=True)
        except (StorageError, FileNotFoundError) as error:
            raise CallError(f"run={shown}: cannot be written to: {reason_of(error)}") from error
        described = self.read_description()
        if described is not None:
            self._refuse_difference(fingerprint, described.get("fingerprint", {}))

    def read_description(self) -> dict[str, Any] | None:
        """What `run.json` says; None where there is none."""
        try:
            return json.loads(self._read("run.json"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            shown = without_credentials(self.url)
            raise CallError(f"run={shown}: run.json is not JSON: {error}") from error

    def describe(self, description: dict[str, Any]) -> None:
        """Write `run.json`."""
        self._write("run.json", _json(description))

    def read_claim(self) -> dict[str, Any] | None:
        """What `driver.json` says; None where there is none, or none that is JSON.

        Raises:
            StorageError: it cannot be read, now; this one is not asked for again.
        """
        try:
            return json.loads(self._read("driver.json", attempts=1))
        except (FileNotFoundError, ValueError):
            return None

    def write_claim(self, document: dict[str, Any] | None) -> None:
        """Write `driver.json`; None removes it.

        Raises:
            StorageError: it cannot be written, now; this is not tried again.
        """
        if document is None:
            self._remove("driver.json")
        else:
            self._write("driver.json", _json(document), attempts=1)

    def still_to_do(self, shards: Iterable[Shard], fingerprint: Fingerprint) -> list[Shard]:
        """The shards without a part, or whose part was made from another version of them.

        Of the others, a note in `failed/` is removed: the worker that committed the part may have
        died before it could say so, or belonged to a driver that is dead.

        Raises:
            CallError: a part was made by another configuration.
        """
        present = set(self.parts())
        candidates = list(shards)
        with ThreadPoolExecutor(max_workers=REQUESTS_AT_ONCE) as pool:
            stands = pool.map(
                lambda shard: shard.id in present and self._stands(shard, fingerprint), candidates
            )
            to_do = [shard for shard, done in zip(candidates, stands, strict=True) if not done]
        done = {shard.id for shard in candidates} - {shard.id for shard in to_do}
        for shard_id in done.intersection(self._ids("failed", ".json")):
            self._remove(f"failed/{shard_id}.json")
        return to_do

    def parts(self) -> list[str]:
        """The ids of the committed parts."""
        return self._ids("scores", ".parquet")

    def commit(self, shard: Shard, table: pa.Table, fingerprint: Fingerprint) -> None:
        """Write the shard's part, in one step.

        Raises:
            CommitError: it cannot be written, for good or for too long.
        """
        footer = {"fingerprint": fingerprint, "source": shard.source}
        buffer = pa.BufferOutputStream()
        pq.write_table(
            table.replace_schema_metadata({FOOTER_KEY: json.dumps(footer)}),
            buffer,
            compression="zstd",
        )
        content = buffer.getvalue().to_pybytes()
        try:
            self._write(f"scores/{shard.id}.parquet", content)
            self._remove(f"failed/{shard.id}.json")
        except StorageError as error:
            shown = f"run={without_credentials(self.url)}"
            raise CommitError(shown, f"cannot be written to: {error.reason}") from error

    def set_aside(self, shard: Shard, attempts: int, error: str) -> None:
        """Note a shard that was given up on; it is tried again by the next call."""
        note = {"url": without_credentials(shard.url), "attempts": attempts, "error": error}
        self._write(f"failed/{shard.id}.json", _json(note))

    def _stands(self, shard: Shard, fingerprint: Fingerprint) -> bool:
        path = join(self._path, "scores", f"{shard.id}.parquet")

        def read_footer() -> dict[str, Any]:
            with self._fs.open(path, "rb") as file:
                return json.loads((pq.read_metadata(file).metadata or {}).get(FOOTER_KEY, b"{}"))

        try:
            footer = reliably(path, read_footer)
        except pa.ArrowInvalid:
            return False  # not Parquet: its writer's storage is not as atomic as promised
        self._refuse_difference(fingerprint, footer.get("fingerprint", {}))
        return footer.get("source") == shard.source

    def _ids(self, folder: str, suffix: str) -> list[str]:
        """The shards that have a file there."""
        try:
            names = reliably(
                without_credentials(self.url),
                lambda: self._fs.ls(join(self._path, folder), detail=False),
            )
        except FileNotFoundError:
            return []
        files = [name.rpartition("/")[2] for name in names]
        return [name.removesuffix(suffix) for name in files if name.endswith(suffix)]

    def _refuse_difference(self, ours: Fingerprint, theirs: Fingerprint) -> None:
        if differences := differing(ours, theirs):
            raise CallError(
                f"run={without_credentials(self.url)} was made with another configuration: "
                f"{'; '.join(differences)}. Name another run, or start it anew with overwrite=true"
            )

    def _remove_results(self) -> None:
        """Remove what a run writes, and nothing else that may lie there."""
        for name in ("run.json", "scores", "failed", "summary", "report"):
            self._remove(name)

    def _remove(self, name: str) -> None:
        path = join(self._path, name)

        def remove() -> None:
            if self._fs.exists(path):
                self._fs.rm(path, recursive=True)

        # Another process may have removed it between the two.
        with suppress(FileNotFoundError):
            reliably(path, remove)

    def _read(self, name: str, attempts: int = ATTEMPTS) -> bytes:
        path = join(self._path, name)
        return reliably(path, lambda: self._fs.cat_file(path), attempts)

    def _write(self, name: str, content: bytes, attempts: int = ATTEMPTS) -> None:
        write_in_one_step(self._fs, join(self._path, name), content, attempts)


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
