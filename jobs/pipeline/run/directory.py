"""The directory of a run: what is committed, what was given up on, and what is still to do.

    RUN/run.json                    configuration, fingerprint, versions, counts, timings, state
    RUN/driver.json                 the driver that has the run now (`lease`)
    RUN/scores/<shard-id>.parquet   one committed part a shard
    RUN/failed/<shard-id>.json      a shard given up on

The appearing of a part under its final name is its commit. Its footer says what it was made from,
so that a resumed run knows which parts still stand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pyarrow as pa

from jobs.pipeline.errors import CallError, CommitError, StorageError
from jobs.pipeline.run.fingerprint import Groups, differing_groups, groups_of
from jobs.pipeline.run.parts import (
    Footer,
    PartState,
    StoredPart,
    Used,
    read_state,
    read_whole,
    write,
)
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.filesystem import REQUESTS_AT_ONCE, join, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import ATTEMPTS, reason_of, storage_errors, with_retries
from jobs.pipeline.storage.writing import write_in_one_step

RESULTS = {
    "scores": (".parquet", ".parquet.tmp"),
    "failed": (".json",),
    "summary": ("model.parquet", "concept.parquet", "summary.json", "leaderboard.md"),
    "report": ("index.html",),
}
"""What a run writes, by its folder: the endings of the names."""


MAKING = 3
"""How often a run's folder is asked for: a store may refuse it for a moment, but who gave a wrong
address waits for the answer."""


class RunDirectory:
    """A run's directory, local or on object storage."""

    def __init__(self, url: str) -> None:
        """Name the directory; nothing is read or written yet."""
        self.url = url
        self._fs, self._path = open_filesystem(url, keeps_listings=False)
        self._seen: dict[str, Groups] = {}
        """The fingerprints that were found in it, each once, by their JSON."""

    def open(self, overwrite: bool) -> None:
        """Make sure that it can be written to, and note what `run.json` says.

        Raises:
            CallError: it cannot.
        """
        redacted = redact(self.url)
        scores = join(self._path, "scores")
        try:
            with storage_errors(redacted):
                if overwrite:
                    self._remove_results()
            with_retries(redacted, lambda: self._fs.makedirs(scores, exist_ok=True), MAKING)
        except (StorageError, FileNotFoundError) as error:
            raise CallError(f"run={redacted}: cannot be written to: {reason_of(error)}") from error
        self.note_description()

    def note_description(self) -> None:
        """Note what `run.json` says, where there is one."""
        described = self.read_description()
        if described is not None:
            self._note(groups_of(described.get("fingerprint"), described.get("format", 1)))

    def found_groups(self) -> dict[str, Any]:
        """The fingerprint of each group that was found in it so far."""
        return {group: found for groups in self._seen.values() for group, found in groups.items()}

    def require_same(self, groups: Groups) -> None:
        """Make sure that whatever was found in it so far was made by this configuration.

        Raises:
            CallError: it was not, naming the keys that differ.
        """
        for found in self._seen.values():
            if differences := differing_groups(groups, found):
                raise CallError(
                    f"run={redact(self.url)} was made with another configuration: "
                    f"{'; '.join(differences)}. Name another run, or start it anew with "
                    "overwrite=true"
                )

    def read_description(self) -> dict[str, Any] | None:
        """What `run.json` says; None where there is none."""
        redacted = redact(self.url)
        try:
            description = json.loads(self._read("run.json"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise CallError(f"run={redacted}: run.json is not JSON: {error}") from error
        if not isinstance(description, dict):
            raise CallError(f"run={redacted}: run.json is no JSON object, so not a run's own")
        if not isinstance(description.get("fingerprint", {}), dict):
            raise CallError(f"run={redacted}: run.json has a fingerprint that is no JSON object")
        return description

    def describe(self, description: dict[str, Any]) -> None:
        """Write `run.json`."""
        self._write("run.json", _json(description))

    def read_lease(self, attempts: int = ATTEMPTS) -> dict[str, Any] | None:
        """What `driver.json` says; None where there is none, or none that a driver wrote.

        Raises:
            StorageError: it cannot be read.
        """
        try:
            document = json.loads(self._read("driver.json", attempts))
        except (FileNotFoundError, ValueError):
            return None
        return document if isinstance(document, dict) and "holder" in document else None

    def write_lease(self, document: dict[str, Any] | None, attempts: int = ATTEMPTS) -> None:
        """Write `driver.json`; None removes it.

        Raises:
            StorageError: it cannot be written.
        """
        if document is None:
            self._remove("driver.json")
        else:
            self._write("driver.json", _json(document), attempts)

    def states(self, shard_ids: Iterable[str] | None = None) -> dict[str, PartState]:
        """What the parts hold, by the ids of their shards; those that are no Parquet are left out.

        Args:
            shard_ids: of which shards; None asks for all that have a part.
        """
        present = set(self.parts())
        asked = sorted(present if shard_ids is None else present.intersection(shard_ids))
        with ThreadPoolExecutor(max_workers=REQUESTS_AT_ONCE) as pool:
            read = pool.map(lambda shard_id: read_state(self._fs, self._part(shard_id)), asked)
            states = {i: state for i, state in zip(asked, read, strict=True) if state is not None}
        for state in states.values():
            self._note(state.footer.groups)
        return states

    def forget_failures(self, shard_ids: Iterable[str]) -> None:
        """Remove the notes in `failed/` of shards that have a part.

        The worker that committed it may have died before it could say so, or belonged to a driver
        that is dead.
        """
        for shard_id in set(self._ids("failed", ".json")).intersection(shard_ids):
            self._remove(f"failed/{shard_id}.json")

    def parts(self) -> list[str]:
        """The ids of the committed parts."""
        return self._ids("scores", ".parquet")

    def read_part(self, shard: Shard) -> StoredPart | None:
        """The shard's part, as it is now; None where there is none.

        Raises:
            StorageError: it cannot be read.
        """
        return read_whole(self._fs, self._part(shard.id))

    def commit(
        self,
        shard: Shard,
        table: pa.Table,
        groups: Groups,
        references: Used | None = None,
        over: StoredPart | None = None,
    ) -> None:
        """Write the shard's part, in one step.

        Args:
            references: what the rows were scored against.
            over: the part that was read, which this one takes the place of.

        Raises:
            Superseded: another part has come since.
            CommitError: it cannot be written, for good or for too long.
        """
        footer = Footer(groups, shard.source, references or {})
        try:
            write(self._fs, self._part(shard.id), table, footer, over.version if over else None)
            self._remove(f"failed/{shard.id}.json")
        except StorageError as error:
            redacted = f"run={redact(self.url)}"
            raise CommitError(redacted, f"cannot be written to: {error.reason}") from error

    def set_aside(self, shard: Shard, attempts: int, error: str) -> None:
        """Note a shard that was given up on; it is tried again by the next call."""
        note = {"url": redact(shard.url), "attempts": attempts, "error": error}
        self._write(f"failed/{shard.id}.json", _json(note))

    def _part(self, shard_id: str) -> str:
        return join(self._path, "scores", f"{shard_id}.parquet")

    def _note(self, groups: Groups) -> None:
        if groups:
            self._seen[json.dumps(groups, sort_keys=True)] = groups

    def _ids(self, folder: str, suffix: str) -> list[str]:
        """The shards that have a file there; what begins with a dot is none of ours."""
        files = self._files(folder)
        return [
            name.removesuffix(suffix)
            for name in files
            if name.endswith(suffix) and not name.startswith(".")
        ]

    def _files(self, folder: str) -> list[str]:
        try:
            names = with_retries(
                redact(self.url),
                lambda: self._fs.ls(join(self._path, folder), detail=False),
            )
        except FileNotFoundError:
            return []
        return [name.rpartition("/")[2] for name in names]

    def _remove_results(self) -> None:
        """Remove what a run writes, and nothing else that may lie there; `run.json` last, so that
        what a removal leaves that is interrupted is not taken for another configuration's."""
        for folder, endings in RESULTS.items():
            for name in self._files(folder):
                if name.endswith(endings):
                    self._remove(f"{folder}/{name}")
        self._remove("run.json")

    def _remove(self, name: str) -> None:
        path = join(self._path, name)

        def remove() -> None:
            if self._fs.exists(path):
                self._fs.rm(path, recursive=True)

        # Another process may have removed it between the two.
        with suppress(FileNotFoundError):
            with_retries(path, remove)

    def _read(self, name: str, attempts: int = ATTEMPTS) -> bytes:
        path = join(self._path, name)
        return with_retries(path, lambda: self._fs.cat_file(path), attempts)

    def _write(self, name: str, content: bytes, attempts: int = ATTEMPTS) -> None:
        write_in_one_step(self._fs, join(self._path, name), content, attempts)


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
