"""Images to shards: what `jobs.pack` does, as a function for others to call."""

from __future__ import annotations

import logging
import os
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from fsspec import AbstractFileSystem

from jobs.pipeline.command.bars import bar_on_terminal
from jobs.pipeline.command.settings import setting
from jobs.pipeline.datasets import dreambenchplus, hf, orida, pairs
from jobs.pipeline.datasets.by_concept import in_order_of_concepts
from jobs.pipeline.datasets.entries import Contents, Entry, problem_of
from jobs.pipeline.datasets.loading import Loaded, load, load_what_is_sound
from jobs.pipeline.datasets.manifest import read_manifest
from jobs.pipeline.datasets.missing import Missing
from jobs.pipeline.datasets.settings import Dataset, DatasetConfig
from jobs.pipeline.datasets.writing import SHARD_NAMES, ShardsByRole, Written
from jobs.pipeline.errors import CallError, SampleError, StorageError
from jobs.pipeline.shards.conversion import Note
from jobs.pipeline.storage.filesystem import open_filesystem, refuse_for_results
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.replacement import Replacement
from jobs.pipeline.storage.retry import reason_of, storage_errors
from jobs.pipeline.storage.versions import Version, versions_in

log = logging.getLogger(__name__)

READERS = max(8, os.cpu_count() or 1)
"""Threads that read and decode images: they wait for the disk, and not for one another."""

AHEAD = 4 * READERS
"""Samples read before they are written; what packing holds of images in memory."""

LINE_SECONDS = 5.0

CONCEPT = "concept"
"""What `by` can be."""

UNFIT = "samples that jobs.evaluate would refuse, left out"

UNREADABLE_IMAGE = "images that cannot be read, left out"

UNREADABLE_MASK = "masks that cannot be read or are of another image; packed without"

Item = TypeVar("Item")
Result = TypeVar("Result")

KINDS: dict[str, Dataset] = {
    "manifest": Dataset(read_manifest, "manifest"),
    "dreambenchplus": Dataset(dreambenchplus.read, "source", ("masks", "methods")),
    "orida": Dataset(orida.read, "source"),
    "pairs": Dataset(pairs.read, "source"),
    "hf": Dataset(hf.read, "source", hf.SETTINGS),
}
"""The data sets that can be packed, by the name that a call gives them."""


@dataclass
class PackConfig(DatasetConfig):
    out: str = setting(help="directory of the shards, local or a URL")
    kind: str = setting("manifest", lambda: f"data set to pack: {', '.join(KINDS)}")
    shard_size: int = setting(1000, "samples a shard; by=concept: at least so many, whole concepts")
    by: str | None = setting(
        None, "concept: a concept's generations in one shard, concepts by chance, to decide early"
    )
    overwrite: bool = setting(
        False, "replace the shards in `out` that are called as those to be written"
    )


@dataclass
class Packed:
    """What was written, by the name of its shards, and what is to be said of it."""

    written: dict[str, Written]
    notes: Counter[Note] = field(default_factory=Counter)
    missing: Missing = field(default_factory=Missing)
    first_without_mask: str | None = None
    n_not_segmentable: int = 0
    """Samples that have neither a mask nor a subject to make one by."""


def pack(config: PackConfig) -> Packed:
    """Write the shards of a data set.

    They are written beside their places; a call that fails leaves `out` as it was.

    Raises:
        CallError: there is no such data set, or nothing of it to be packed; an entry of a manifest
            that cannot be packed, or that could not be scored; or there are shards already.
        StorageError: `out` cannot be written to.
    """
    if config.shard_size < 1:
        raise CallError(f"shard_size={config.shard_size}: expected 1 or more")
    if config.kind not in KINDS:
        raise CallError(f"kind={config.kind}: no such data set; known: {', '.join(KINDS)}")
    if config.by not in (None, CONCEPT):
        raise CallError(f"by={config.by}: expected {CONCEPT}, or null for the data set's own order")
    refuse_for_results(config.out, "out")
    KINDS[config.kind].check(config.kind, config)
    fs, out = open_filesystem(config.out, keeps_listings=False)
    named = f"out={redact(config.out)}"
    contents = KINDS[config.kind].read(config)
    if contents.missing is None:
        contents = _checked_as_a_whole(contents)
    if config.by == CONCEPT:
        contents = _ordered_by_concept(contents, config.kind)
    try:
        with storage_errors(named):
            names = {SHARD_NAMES[role] for role in contents.roles}
            present = _present(fs, out, names)
            if present and not config.overwrite:
                raise CallError(f"{named}: holds shards; overwrite=true replaces them")
            with Replacement(fs, out) as replacement:
                packed = _write(contents, config, replacement)
                replacement.put_in_place(
                    present, partial(_require_same, present, fs, out, names, named)
                )
    except (FileNotFoundError, NotImplementedError) as error:
        raise StorageError(named, reason_of(error)) from error
    _say(packed)
    return packed


def _checked_as_a_whole(contents: Contents) -> Contents:
    """The same with its entries in a list, each of which is fit to be packed and has its files."""
    entries = list(_fit(contents))
    with ThreadPoolExecutor(READERS, "reader") as pool:
        deque(_in_order(pool, _check_files, entries), maxlen=0)
    return replace(contents, entries=entries)


def _ordered_by_concept(contents: Contents, kind: str) -> Contents:
    if not isinstance(contents.entries, list):
        raise CallError(
            f"by={CONCEPT}: kind={kind} is packed as it is read, in the order of its rows; make a "
            "manifest of it"
        )
    return replace(contents, entries=in_order_of_concepts(contents.entries))


def _fit(contents: Contents) -> Iterator[Entry]:
    """The entries that `jobs.evaluate` would take, so far as that can be told without the images.

    Raises:
        CallError: two of one role and key; or another entry that is unfit, where that is not to be
            counted as missing.
    """
    known: set[tuple[str, str]] = set()
    for entry in contents.entries:
        if (entry.role, entry.key) in known:
            raise CallError(
                f"{entry.where}: key {entry.key!r} comes twice; a column `key` can tell them apart"
            )
        known.add((entry.role, entry.key))
        problem = problem_of(entry)
        if problem is None:
            yield entry
        elif contents.missing is None:
            raise CallError(f"{entry.where}: {problem}")
        else:
            contents.missing.add(UNFIT, f"{entry.where}: {problem}")


def _check_files(entry: Entry) -> None:
    for name, path in (("image", entry.image), ("mask", entry.mask)):
        try:
            is_there = not isinstance(path, Path) or path.is_file()
        except OSError as error:
            raise CallError(f"{entry.where}: {name}: {error.strerror}: {path}") from error
        if not is_there:
            raise CallError(f"{entry.where}: {name}: no such file: {path}")


def _present(fs: AbstractFileSystem, out: str, names: set[str]) -> dict[str, Version]:
    """The shards in `out` that are called so; what else lies there is none of ours."""
    ours = re.compile(rf"({'|'.join(names)})-\d{{6,}}\.tar")
    there = versions_in(fs, out)
    return {name: there[name] for name in sorted(there) if ours.fullmatch(name)}


def _require_same(
    before: dict[str, Version], fs: AbstractFileSystem, out: str, names: set[str], named: str
) -> None:
    """Two calls at once must not leave shards of both.

    Raises:
        CallError: the shards in `out` are not those of `before`.
    """
    if _present(fs, out, names) != before:
        raise CallError(
            f"{named}: its shards have changed while these were packed, as by another jobs.pack; "
            "they are left as they are"
        )


def _write(contents: Contents, config: PackConfig, replacement: Replacement) -> Packed:
    missing = contents.missing if contents.missing is not None else Missing()
    packed = Packed({name: Written() for name in SHARD_NAMES.values()}, missing=missing)
    entries = contents.entries
    n = len(entries) if isinstance(entries, list) else None
    with (
        ThreadPoolExecutor(READERS, "reader") as pool,
        ShardsByRole(
            replacement, config.shard_size, packed.written, config.by == CONCEPT
        ) as shards,
        _Progress(n) as progress,
    ):
        read = partial(_load, upright=config.upright, is_strict=contents.missing is None)
        for entry, loaded in _in_order(pool, read, _fit(contents)):
            progress.advance()
            if isinstance(loaded, SampleError):
                missing.add(UNREADABLE_IMAGE, f"{entry.where}: {loaded}")
                continue
            shards.add(entry, loaded)
            _note(entry, loaded, packed)
    _refuse_nothing(contents, packed, config.kind)
    return packed


def _refuse_nothing(contents: Contents, packed: Packed, kind: str) -> None:
    names = {SHARD_NAMES[role] for role in contents.required}
    lacking = sorted(name for name in names if not packed.written[name].samples)
    if not lacking and any(written.samples for written in packed.written.values()):
        return
    why = "; ".join(packed.missing.lines()) or "it is empty"
    raise CallError(
        f"kind={kind}: there are no {' and no '.join(lacking) or 'samples'} in it: {why}"
    )


def _load(entry: Entry, upright: bool, is_strict: bool) -> tuple[Entry, Loaded | SampleError]:
    """An entry's sample, or why there is none.

    Raises:
        CallError: there is none, and the call is to end with that.
    """
    try:
        return entry, (load if is_strict else load_what_is_sound)(entry, upright)
    except SampleError as error:
        if is_strict:
            raise CallError(f"{entry.where}: {error}") from error
        return entry, error


def _note(entry: Entry, loaded: Loaded, packed: Packed) -> None:
    packed.notes.update(loaded.notes)
    if loaded.mask_problem:
        packed.missing.add(UNREADABLE_MASK, f"{entry.where}: {loaded.mask_problem}")
    if not loaded.has_mask:
        packed.first_without_mask = packed.first_without_mask or entry.where
        packed.n_not_segmentable += not entry.fields.get("subject")


def _in_order(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """`map(function, items)`, at most `AHEAD` of them begun before they are asked for."""
    begun: deque[Future[Result]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) > AHEAD:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()


class _Progress:
    """A live bar on a terminal, a line every few seconds elsewhere. A context manager."""

    def __init__(self, n_samples: int | None) -> None:
        self._n_samples = n_samples
        self._n_done = 0
        self._began = self._last_line = time.monotonic()
        self._bar = bar_on_terminal("samples")

    def __enter__(self) -> _Progress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("packing", total=self._n_samples, detail="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self) -> None:
        """One sample more is read."""
        self._n_done += 1
        now = time.monotonic()
        rate = f"{self._n_done / (now - self._began):.0f}/s" if now > self._began else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=self._n_done, detail=rate)
        elif now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            of_all = f" of {self._n_samples}" if self._n_samples is not None else ""
            log.info("%d%s samples · %s", self._n_done, of_all, rate)


def _say(packed: Packed) -> None:
    for name, written in packed.written.items():
        log.info("%d %s in %d shards", written.samples, name, written.shards)
    for note in Note:
        if packed.notes[note]:
            log.warning("%d %s", packed.notes[note], note.value)
    for line in packed.missing.lines():
        log.warning("%s", line)
    all_written = packed.written.values()
    if n_without := sum(written.without_mask for written in all_written):
        log.warning(
            "%d of %d samples have no mask (the first: %s); jobs.segment comes next, which makes "
            "masks, and then jobs.evaluate",
            *(n_without, sum(written.samples for written in all_written)),
            packed.first_without_mask,
        )
    if packed.n_not_segmentable:
        log.warning(
            "%d of them have no `subject` either, which jobs.segment looks for in the image",
            packed.n_not_segmentable,
        )
