"""Checkpoints that are complete: a mark lies beside their shards. In the order of the marks."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from fsspec import AbstractFileSystem

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.storage.filesystem import (
    REQUESTS_AT_ONCE,
    absolute,
    join,
    open_filesystem,
)
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries

PLACEHOLDER = "{checkpoint}"
MARK = "_SUCCESS"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*")
"""What a checkpoint may be called: it becomes a folder's name, and part of patterns."""
RESERVED = "references"
"""Where the references with masks lie, beside the checkpoints'."""
MOST_STEPS = 2**63
GLOBS = re.compile(r"[*?\[\]{}]")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose shards are all there."""

    name: str
    time: datetime
    """When its mark was set, by the storage's clock."""
    samples: str
    """Its shards, as a pattern."""

    @property
    def step(self) -> int | None:
        """The last number in its name, as of `step-001200`; None where there is none, or none that
        64 bits hold."""
        numbers = re.findall(r"[0-9]+", self.name)
        step = int(numbers[-1]) if numbers else MOST_STEPS
        return step if step < MOST_STEPS else None


@dataclass(frozen=True)
class Inbox:
    """Where checkpoints come, as `URL/{checkpoint}/*.tar` says it."""

    pattern: str
    parent: str
    """The folder of the checkpoints' folders."""
    before: str
    """What a folder's name has before the checkpoint's."""
    after: str
    within: tuple[str, ...]
    """Folders between a checkpoint's own and its shards."""

    @classmethod
    def parse(cls, pattern: str) -> Inbox:
        """The inbox of a setting.

        Raises:
            CallError: it does not say where a checkpoint's name stands, or not in a folder of its
                own.
        """
        named = f"inbox={redact(pattern)}"
        if pattern.count(PLACEHOLDER) != 1:
            raise CallError(f"{named}: expected {PLACEHOLDER} once, as in URL/{PLACEHOLDER}/*.tar")
        whole = absolute(pattern)
        parent, folder, rest = _around(whole)
        if not rest:
            raise CallError(f"{named}: {PLACEHOLDER} has to be a folder, with shards in it")
        if "://" in whole and "://" not in parent:
            raise CallError(f"{named}: {PLACEHOLDER} cannot be the bucket; name a folder in one")
        *within, shards = rest
        if GLOBS.search("/".join([parent, *folder, *within])):
            raise CallError(f"{named}: patterns are for the shards' own names, the last part alone")
        if not shards:
            raise CallError(
                f"{named}: ends in a folder; name its shards, as in {PLACEHOLDER}/*.tar"
            )
        return cls(whole, parent, *folder, tuple(within))

    def complete(self, known: Collection[str]) -> list[Checkpoint]:
        """Those that have their mark, but for the known ones; the earliest mark first.

        Raises:
            CallError: the inbox cannot be listed, or a complete checkpoint's name cannot be used.
            StorageError: a mark cannot be asked for.
        """
        fs, parent = open_filesystem(self.parent, keeps_listings=False)
        new = [name for name in self._names(fs, parent) if name not in known]
        with ThreadPoolExecutor(max_workers=REQUESTS_AT_ONCE) as pool:
            times = list(pool.map(lambda name: self._marked(fs, parent, name), new))
        found = []
        for name, time in zip(new, times, strict=True):
            if time is not None:
                _check_name(name)
                samples = self.pattern.replace(PLACEHOLDER, name)
                found.append(Checkpoint(name, time, samples))
        return sorted(found, key=lambda each: (each.time, natural_order(each.name)))

    def marked_anew(self, judged: Mapping[str, datetime]) -> list[str]:
        """Of checkpoints that were judged, by name with the times of their marks then, those that
        have a later one by now.

        Raises:
            StorageError: a mark cannot be asked for.
        """
        fs, parent = open_filesystem(self.parent, keeps_listings=False)
        with ThreadPoolExecutor(max_workers=REQUESTS_AT_ONCE) as pool:
            times = list(pool.map(lambda name: self._marked(fs, parent, name), judged))
        return [
            name
            for name, now in zip(judged, times, strict=True)
            if now is not None and now > judged[name]
        ]

    def _names(self, fs: AbstractFileSystem, parent: str) -> list[str]:
        redacted = redact(self.parent)
        try:
            entries = with_retries(redacted, lambda: fs.ls(parent, detail=False))
        except FileNotFoundError as error:
            raise CallError(f"inbox={redacted}: no such folder") from error
        names = [entry.rstrip("/").rpartition("/")[2] for entry in entries]
        return [
            name.removeprefix(self.before).removesuffix(self.after)
            for name in names
            if name.startswith(self.before)
            and name.endswith(self.after)
            and len(name) > len(self.before) + len(self.after)
        ]

    def _marked(self, fs: AbstractFileSystem, parent: str, name: str) -> datetime | None:
        """When its mark was set; None where there is none."""
        path = join(parent, f"{self.before}{name}{self.after}", *self.within, MARK)
        try:
            found: datetime = with_retries(path, lambda: fs.modified(path))
        except FileNotFoundError:
            return None
        except StorageError as error:
            if "NotADirectory" in error.reason:  # a file beside the checkpoints' folders
                return None
            raise
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """A key by which `step-900` comes before `step-1000`."""
    pieces = re.findall(r"\d+|\D+", name)
    return [(0, int(each), "") if each.isdecimal() else (1, 0, each) for each in pieces]


def _around(pattern: str) -> tuple[str, tuple[str, str], list[str]]:
    """The folder above the placeholder's, what its name has around it, and what follows."""
    head, tail = pattern.split(PLACEHOLDER)
    parent, _, before = head.rpartition("/")
    after, *rest = tail.split("/")
    return parent or "/", (before, after), rest


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or name == RESERVED:
        raise CallError(
            f"inbox: a checkpoint is called {name!r}: its name becomes a folder's, and may hold "
            f"letters, digits and . _ = + - only, and not be {RESERVED!r}; rename it"
        )
