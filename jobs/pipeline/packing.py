"""Images to shards: what `jobs.pack` does, as a function for others to call."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from fsspec import AbstractFileSystem

from jobs.pipeline.command.settings import setting
from jobs.pipeline.datasets.entries import GENERATION, REFERENCE, Entry, check_entries, suffix_of
from jobs.pipeline.datasets.manifest import read_manifest
from jobs.pipeline.errors import CallError, SampleError, StorageError
from jobs.pipeline.shards.conversion import (
    Note,
    Stored,
    has_cut_out,
    stored_image,
    stored_mask,
)
from jobs.pipeline.shards.images import aspect_problem
from jobs.pipeline.shards.members import JSON_SUFFIX, MASK_SUFFIX
from jobs.pipeline.shards.writing import Sample, write_shard
from jobs.pipeline.storage.filesystem import open_filesystem, refuse_for_results
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.replacement import Replacement
from jobs.pipeline.storage.retry import reason_of, storage_errors
from jobs.pipeline.storage.versions import Version, versions_in

log = logging.getLogger(__name__)

SHARD_NAMES = {GENERATION: "generations", REFERENCE: "references"}
"""Role of an entry, and the name that its shards begin with."""

READERS = 8
"""Threads that read images: they wait for the disk, and not for one another."""

AHEAD = 32
"""Samples read before they are written; what packing holds of images in memory."""

LINE_SECONDS = 5.0

Item = TypeVar("Item")
Result = TypeVar("Result")

KINDS: dict[str, Callable[[PackConfig], list[Entry]]] = {
    "manifest": lambda config: read_manifest(Path(config.manifest).expanduser()),
}
"""The data sets that can be packed, by the name that a call gives them."""


@dataclass
class PackConfig:
    manifest: str = setting(help="FILE.csv, .jsonl or .parquet: a row an image")
    out: str = setting(help="directory of the shards, local or a URL")
    kind: str = setting("manifest", f"data set to pack: {', '.join(KINDS)}")
    shard_size: int = setting(1000, "samples a shard")
    upright: bool = setting(False, "turn images by their EXIF orientation, as their masks are")
    overwrite: bool = setting(
        False, "replace the shards in `out` that are called as those to be written"
    )


@dataclass
class Written:
    """What was written of one role."""

    samples: int = 0
    shards: int = 0
    without_mask: int = 0


@dataclass
class Packed:
    """What was written, by the name of its shards, and how often what was noted of a file."""

    written: dict[str, Written]
    notes: Counter[Note] = field(default_factory=Counter)


def pack(config: PackConfig) -> Packed:
    """Write the shards of a data set.

    They are written beside their places; a call that fails leaves `out` as it was.

    Raises:
        CallError: an entry that cannot be packed, or that could not be scored; or there are shards
            already.
        StorageError: `out` cannot be written to.
    """
    if config.shard_size < 1:
        raise CallError(f"shard_size={config.shard_size}: expected 1 or more")
    if config.kind not in KINDS:
        raise CallError(f"kind={config.kind}: no such data set; known: {', '.join(KINDS)}")
    refuse_for_results(config.out, "out")
    fs, out = open_filesystem(config.out, keeps_listings=False)
    named = f"out={redact(config.out)}"
    entries = KINDS[config.kind](config)
    check_entries(entries)
    try:
        with storage_errors(named):
            names = {SHARD_NAMES[entry.role] for entry in entries}
            present = _present(fs, out, names)
            if present and not config.overwrite:
                raise CallError(f"{named}: holds shards; overwrite=true replaces them")
            with ThreadPoolExecutor(READERS, "reader") as pool:
                deque(_in_order(pool, _check_files, entries), maxlen=0)
            with Replacement(fs, out) as replacement:
                packed = _write(entries, config, replacement)
                replacement.put_in_place(
                    present, partial(_require_same, present, fs, out, names, named)
                )
    except (FileNotFoundError, NotImplementedError) as error:
        raise StorageError(named, reason_of(error)) from error
    _say(packed, entries)
    return packed


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


def _write(entries: list[Entry], config: PackConfig, replacement: Replacement) -> Packed:
    packed = Packed({name: Written() for name in SHARD_NAMES.values()})
    progress = _Progress(len(entries))
    with ThreadPoolExecutor(READERS, "reader") as pool:
        for role, name in SHARD_NAMES.items():
            of_role = [entry for entry in entries if entry.role == role]
            written = packed.written[name]
            loaded = _in_order(pool, partial(_load, upright=config.upright), of_role)
            samples = _counted(loaded, written, packed.notes, progress)
            while written.samples < len(of_role):
                with replacement.open(f"{name}-{written.shards:06d}.tar") as file:
                    write_shard(file, islice(samples, config.shard_size))
                written.shards += 1
    return packed


def _counted(
    loaded: Iterable[tuple[Sample, tuple[Note, ...]]],
    written: Written,
    notes: Counter[Note],
    progress: _Progress,
) -> Iterator[Sample]:
    for sample, noted in loaded:
        written.samples += 1
        written.without_mask += MASK_SUFFIX not in sample[1]
        notes.update(noted)
        progress.advance()
        yield sample


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


def _check_files(entry: Entry) -> None:
    for name, path in (("image", entry.image), ("mask", entry.mask)):
        try:
            is_there = path is None or path.is_file()
        except OSError as error:
            raise CallError(f"{entry.where}: {name}: {error.strerror}: {path}") from error
        if not is_there:
            raise CallError(f"{entry.where}: {name}: no such file: {path}")


def _load(entry: Entry, upright: bool) -> tuple[Sample, tuple[Note, ...]]:
    """An entry's members, and what is to be said of them.

    Raises:
        CallError: an image or mask that could not be scored, or that do not fit each other.
    """
    try:
        content = entry.image.read_bytes()
        image = stored_image(content, suffix_of(entry.image), upright)
        members = {image.suffix: image.content, JSON_SUFFIX: entry.document()}
        if entry.mask is None:
            return (entry.key, members), image.notes
        content_of_mask = entry.mask.read_bytes()
        if content_of_mask == content and not has_cut_out(content):
            raise SampleError("mask: is the image itself, and that has no alpha channel to be one")
        mask = stored_mask(content_of_mask, suffix_of(entry.mask))
    except SampleError as error:
        raise CallError(f"{entry.where}: {error}") from error
    except OSError as error:
        raise CallError(f"{entry.where}: {error.strerror}: {error.filename}") from error
    _refuse_other_aspect(entry, image, mask)
    members[MASK_SUFFIX] = mask.content
    return (entry.key, members), image.notes + mask.notes


def _refuse_other_aspect(entry: Entry, image: Stored, mask: Stored) -> None:
    if problem := aspect_problem(image.size, mask.size):
        is_turned = Note.NOT_UPRIGHT in image.notes
        cure = "; upright=true turns the image by its EXIF orientation" if is_turned else ""
        raise CallError(f"{entry.where}: mask: {problem}{cure}")


class _Progress:
    """A line every few seconds."""

    def __init__(self, n_samples: int) -> None:
        self._n_samples = n_samples
        self._n_done = 0
        self._began = self._last_line = time.monotonic()

    def advance(self) -> None:
        """One sample more is read."""
        self._n_done += 1
        now = time.monotonic()
        if now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            rate = self._n_done / (now - self._began)
            log.info("%d of %d samples · %.0f/s", self._n_done, self._n_samples, rate)


def _say(packed: Packed, entries: list[Entry]) -> None:
    for name, written in packed.written.items():
        log.info("%d %s in %d shards", written.samples, name, written.shards)
    for note in Note:
        if packed.notes[note]:
            log.warning("%d %s", packed.notes[note], note.value)
    without = [entry for entry in entries if entry.mask is None]
    if without:
        log.warning(
            "%d of %d samples have no mask (the first: %s); jobs.segment comes next, which makes "
            "masks, and then jobs.evaluate",
            len(without), len(entries), without[0].where,
        )  # fmt: skip
