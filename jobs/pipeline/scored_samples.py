"""The samples of a run again, after they were scored: their rows, and their images by ranged reads.

1. A row says in which shard its generation lies, and where; `run.json` says which reference shards
   there were. A shard counts only as it was when it was scored.
2. Where references lie in their shards is found by reading headers.
3. Each sample is one ranged read, many at once, each reference once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from jobs.pipeline.errors import CallError, SampleError, StorageError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.scores import Part
from jobs.pipeline.shards.fetching import fetch_sample
from jobs.pipeline.shards.images import decode_image, decode_mask
from jobs.pipeline.shards.locating import locate_samples
from jobs.pipeline.shards.members import RawSample
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.versions import version_of

READS_AT_ONCE = 16

MOST_PIXELS = 2**28
"""The run decoded it, within bounds of its own; this is for a shard that nobody can tell was
swapped."""

COLUMNS = (
    *("shard", "offset", "length", "prompt_id", "seed", "prompt", "text", "subject", "cp", "pf"),
    *("references", "cp_per_reference", "n_fg_patches", "n_patches", "fg_fraction", "error"),
)
"""Of `scores/`, what is asked of a row beside those that every part has."""


@dataclass(frozen=True)
class Picture:
    """An image and its mask, decoded."""

    key: str
    image: Image.Image
    """RGB."""
    mask: np.ndarray
    """uint8 (H, W), of its own size."""


@dataclass(frozen=True)
class SamplePictures:
    """What a row was scored on."""

    generation: Picture | None
    references: Sequence[Picture]
    """In the row's order; fewer where some cannot be had."""
    problems: Sequence[str]
    """Why something is missing."""
    n_bytes: int
    """What generation and references take in their shards."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.problems


@dataclass(frozen=True)
class _Place:
    """Where a sample lies; `problem` says why it cannot be had."""

    url: str = ""
    key: str = ""
    offset: int = 0
    length: int = 0
    problem: str | None = None


class RunSamples:
    """The shards that a run was made of."""

    def __init__(self, run: str, parts: Iterable[Part]) -> None:
        """Of the run at a URL, whose parts these are.

        Raises:
            CallError: `run.json` is none.
            StorageError: it cannot be read.
        """
        self.described: Mapping[str, Any] = RunDirectory(run).read_description() or {}
        """What `run.json` says; empty where there is none."""
        sources = [part.footer.get("source") for part in parts]
        self._sources = {str(s.get("url")): s for s in sources if isinstance(s, dict)}
        self.n_bytes_read = 0
        """Of shards, so far."""
        self._lying: dict[str, _Place] = {}
        """Where references lie, of those that were asked for."""

    def pictures(self, rows: Sequence[Mapping[str, Any]]) -> list[SamplePictures]:
        """The images of each row; what cannot be had is said, and never raised.

        Args:
            rows: with `COLUMNS` and `key`.
        """
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            places = self._generations(pool, rows)
            keys = {key for row in rows for key in row["references"] or ()}
            self._lying |= self._locate(pool, keys - self._lying.keys())
            lying = {key: self._lying[key] for key in keys}
            wanted = dict.fromkeys([*places, *lying.values()])
            found = dict(zip(wanted, pool.map(_fetch, wanted), strict=True))
            self.n_bytes_read += sum(each.length for each in wanted if each.problem is None)
            of_rows = [
                (place, [lying[key] for key in row["references"] or ()])
                for row, place in zip(rows, places, strict=True)
            ]
            return list(pool.map(lambda each: _pictures(each[0], each[1], found), of_rows))

    def _generations(
        self, pool: ThreadPoolExecutor, rows: Sequence[Mapping[str, Any]]
    ) -> list[_Place]:
        shards = list(dict.fromkeys(row["shard"] for row in rows))
        changed = pool.map(lambda url: _why_changed(url, self._sources.get(url)), shards)
        problems = dict(zip(shards, changed, strict=True))
        places = []
        for row in rows:
            shard, problem = row["shard"], problems[row["shard"]]
            if problem is None and (row["offset"] is None or row["length"] is None):
                problem = (
                    f"{shard}: its rows do not say where samples lie in it, as those of a "
                    "compressed one; no sample of it can be read alone"
                )
            places.append(
                _Place(shard, row["key"], row["offset"] or 0, row["length"] or 0, problem)
            )
        return places

    def _locate(self, pool: ThreadPoolExecutor, keys: set[str]) -> dict[str, _Place]:
        """Where references lie."""
        recorded = self.described.get("references")
        shards = [s for s in recorded if isinstance(s, dict)] if isinstance(recorded, list) else []
        found: dict[str, _Place] = {}

        def look(source: Mapping[str, Any]) -> int | str:
            """Note what of it is wanted; the bytes read for it, or why nothing was."""
            url = str(source.get("url"))
            if problem := _why_changed(url, source):
                return problem
            try:
                located = locate_samples(url, keys, lambda: len(found) == len(keys))
            except FileNotFoundError:
                return f"{redact(url)}: the shard is gone"
            except (CallError, StorageError) as error:
                return str(error)
            for key in keys & located.positions.keys():
                found[key] = _Place(url, key, *located.positions[key])
            return located.n_bytes

        answers = list(pool.map(look, shards if keys else []))
        self.n_bytes_read += sum(answer for answer in answers if isinstance(answer, int))
        problems = [answer for answer in answers if isinstance(answer, str)]
        reason = problems[0] if problems else "no reference shard that run.json names has it"
        missing = {k: _Place(key=k, problem=f"reference {k}: {reason}") for k in keys}
        return {**missing, **found}


def _fetch(place: _Place) -> RawSample | str:
    """The members of a sample, or why they cannot be had."""
    if place.problem is not None:
        return place.problem
    try:
        return fetch_sample(place.url, place.key, place.offset, place.length)
    except FileNotFoundError:
        return f"{redact(place.url)}: the shard is gone"
    except (CallError, StorageError) as error:
        return str(error)


def _why_changed(url: str, source: Mapping[str, Any] | None) -> str | None:
    """Why a shard is not what it was when it was scored; None where it is, or nobody can tell."""
    try:
        now = version_of(url)
    except FileNotFoundError:
        return f"{redact(url)}: the shard is gone"
    except (CallError, StorageError) as error:
        return str(error)
    then = source or {}
    if "tag" in then and (then.get("size"), then["tag"]) != (now.size, now.tag):
        return f"{redact(url)}: the shard has changed since it was scored"
    return None


def _pictures(
    place: _Place, references: Sequence[_Place], found: Mapping[_Place, RawSample | str]
) -> SamplePictures:
    problems: list[str] = []
    decoded = [_decoded(found[each], problems) for each in (place, *references)]
    return SamplePictures(
        decoded[0],
        [each for each in decoded[1:] if each is not None],
        list(dict.fromkeys(problems)),
        sum(each.length for each in (place, *references)),
    )


def _decoded(raw: RawSample | str, problems: list[str]) -> Picture | None:
    """The picture; where there is none, why not is added to `problems`."""
    if isinstance(raw, str):
        problems.append(raw)
        return None
    try:
        return Picture(raw.key, decode_image(raw, MOST_PIXELS), decode_mask(raw, MOST_PIXELS))
    except SampleError as error:
        problems.append(f"{raw.key}: {error}")
        return None
