"""The paper's data sets as shards: packed once, and given the masks that they lack.

    OUT/shards/<data>/                the tree, packed; packed.json says from what
    OUT/masked/<data>-<segmenter>/    the same with masks of a segmenter beside every image

A tree that has changed is packed anew. Masks of several segmenters are put one upon the other, so
that the last of these directories has them all, and one forward scores by each.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from jobs.pipeline.errors import CallError, Incomplete
from jobs.pipeline.packing import PackConfig, Packed, pack
from jobs.pipeline.paper.settings import (
    DREAMBENCHPLUS,
    ORIDA,
    PaperConfig,
    SegmenterCheckpointConfig,
)
from jobs.pipeline.paper.stored import read_json, write_json
from jobs.pipeline.paper.systems import NO_DATA, NO_MASKS, NO_WEIGHTS
from jobs.pipeline.run.shard import find_shards
from jobs.pipeline.segmenting.commits import SegmentedDirectory
from jobs.pipeline.segmenting.config import SegmenterConfig, segmenter_asked
from jobs.pipeline.segmenting_task import SegmentConfig, SegmentLimitsConfig, segment
from jobs.pipeline.storage.filesystem import absolute, join
from jobs.pipeline.storage.listing import expand
from jobs.pipeline.storage.redaction import redact
from masc_core.checkpoint import CheckpointError
from masc_core.mask_names import GIVEN
from masc_core.segmenters import SEGMENTERS

log = logging.getLogger(__name__)

READ = {DREAMBENCHPLUS: ("images", "captions", "samples", "masks"), ORIDA: ("train",)}
"""What is packed of a data set, by folder."""

PACKED = "packed.json"
ROLES = ("generations", "references")


class Unavailable(Exception):
    """A data set, or masks of it, cannot be had. The message is the reason of its rows."""


@dataclass(frozen=True, eq=False)
class Shards:
    """A data set, ready to be scored."""

    data: str
    urls: dict[str, list[str]]
    """By role."""
    name: str
    """Of the run that scores them: the data set's, and the masks that they have."""
    notes: tuple[str, ...]
    """What the data set lacks, a line a cause."""
    has_masks: dict[str, bool]
    """By role, whether any sample has the given mask."""
    lacks_masks: bool
    """Whether some have none."""
    given_by: str | None = None
    """The segmenter that has made every given mask, if one has."""


def packed_shards(config: PaperConfig, data: str) -> Shards:
    """A data set as shards, packed now if it is not yet.

    Raises:
        Unavailable: it is not there, or not of its layout.
        StorageError: the shards cannot be written.
    """
    tree = Path(config.data).expanduser() / data
    if not tree.is_dir():
        raise Unavailable(f"{NO_DATA}: there is no {tree}")
    out = join(config.out, "shards", data)
    inventory = _inventory(tree, READ[data])
    known = read_json(out, PACKED)
    if known is None or known.get("inventory") != inventory:
        known = _packed(data, tree, out) | {"inventory": inventory}
        write_json(out, PACKED, known)
    else:
        log.info("%s is packed already: %s", data, redact(out))
    written = known["written"]
    return Shards(
        data,
        {role: [join(out, f"{role}-*.tar")] for role in ROLES},
        data,
        tuple(known["lacks"]),
        has_masks={
            role: written[role]["without_mask"] < written[role]["samples"] for role in ROLES
        },
        lacks_masks=any(written[role]["without_mask"] for role in ROLES),
    )


def _packed(data: str, tree: Path, out: str) -> dict[str, Any]:
    log.info("packing %s", tree)
    try:
        # Shards of a tree that has changed since are in a directory of this command's own.
        config = PackConfig(kind=data, source=str(tree), out=out, overwrite=True, shard_size=500)
        done: Packed = pack(config)
    except CallError as error:
        raise Unavailable(f"{NO_DATA}: {error}") from error
    written = {name: asdict(each) for name, each in done.written.items()}
    return {"source": str(tree), "written": written, "lacks": list(done.missing.lines())}


def _inventory(tree: Path, folders: Sequence[str]) -> dict[str, int]:
    """What tells a tree from what it was: its files, their bytes, and the time of the last change.

    Raises:
        CallError: it cannot be listed.
    """
    n, size, newest = 0, 0, 0

    def refuse(error: OSError) -> None:
        raise CallError(f"data={tree}: {error.strerror}: {error.filename}") from error

    for folder in folders:
        for root, _, names in os.walk(tree / folder, onerror=_unless_absent(refuse)):
            for name in names:
                try:
                    found = (Path(root) / name).stat()
                except FileNotFoundError:  # a link to nothing: packing counts it
                    continue
                n, size = n + 1, size + found.st_size
                newest = max(newest, found.st_mtime_ns)
    return {"files": n, "bytes": size, "newest": newest}


def _unless_absent(refuse: Any) -> Any:
    return lambda error: None if isinstance(error, FileNotFoundError) else refuse(error)


def with_given_masks(config: PaperConfig, shards: Shards, segmenter: str | None) -> Shards:
    """The shards with a given mask beside every image, if a segmenter can make those they lack.

    Raises:
        Unavailable: none has one, and none can be made.
        Incomplete: segmenting stopped; the same call goes on.
    """
    if not shards.lacks_masks:
        return shards
    why = "the recipe names no segmenter"
    if segmenter is not None:
        try:
            made = _with_member(config, shards, segmenter, GIVEN)
            is_all = not any(shards.has_masks.values())
            note = f"{'all' if is_all else 'missing'} masks are by {segmenter}"
            return replace(
                made,
                notes=(*made.notes, note),
                has_masks=dict.fromkeys(ROLES, True),
                lacks_masks=False,
                given_by=segmenter if is_all else None,
            )
        except Unavailable as error:
            why = f"{segmenter}: {error}"
    if not all(shards.has_masks.values()):
        raise Unavailable(f"{NO_MASKS}: the data set has none, and none were made ({why})")
    note = f"some images have no mask and are errors: none were made ({why})"
    return replace(shards, notes=(*shards.notes, note))


def with_members(
    config: PaperConfig, shards: Shards, names: Sequence[str]
) -> tuple[Shards, dict[str, str]]:
    """The shards with a mask of each segmenter that can be had, and by name why of the others not.

    Raises:
        Incomplete: segmenting stopped; the same call goes on.
    """
    problems = {
        name: f"{NO_MASKS}: no segmenter is called {name}"
        for name in names
        if name not in SEGMENTERS
    }
    for name in (each for each in SEGMENTERS if each in names):
        try:
            shards = _with_member(config, shards, name, name)
        except Unavailable as error:
            problems[name] = str(error)
    return shards, problems


def _with_member(config: PaperConfig, shards: Shards, segmenter: str, member: str) -> Shards:
    """Segment generations and references, or go on with it."""
    asked = config.segmenters.get(segmenter, SegmenterCheckpointConfig())
    own = SegmenterConfig(name=segmenter, **asdict(asked))
    try:
        segmenter_asked(own).fingerprint()
    except CheckpointError as error:
        if asked.name_or_path is not None or asked.sam2_name_or_path is not None:
            raise CallError(f"segmenters.{segmenter}: {error}") from error
        raise Unavailable(f"{NO_WEIGHTS}: {error}") from error
    suffix = segmenter if member != GIVEN else f"given-{segmenter}"
    name = f"{shards.name}-{suffix}"
    masked: dict[str, list[str]] = {}
    for role in ROLES:
        out = join(absolute(config.out), "masked", name, role)
        sources = expand(shards.urls[role], role)
        log.info("masks of %s of %s by %s", role, shards.data, segmenter)
        outcome = segment(
            SegmentConfig(
                samples=sources,
                out=out,
                member=member,
                segmenter=own,
                workers=config.workers,
                ray=config.ray,
                limits=SegmentLimitsConfig(**asdict(config.limits)),
            )
        )
        if outcome.n_set_aside:
            raise Incomplete(f"{outcome.n_set_aside} shards of {role} have no masks: {redact(out)}")
        total = outcome.result
        if total.n and total.n_error == total.n:
            raise Unavailable(
                f"{NO_MASKS}: {segmenter} made none of {total.n} {role} (have they a subject?)"
            )
        # Those alone: there may be some of shards that the data set had before.
        directory = SegmentedDirectory(out)
        masked[role] = [directory.target(shard) for shard in find_shards(sources)]
    return replace(shards, urls=masked, name=name)
