"""From what was chosen and fetched to what the template takes."""

from __future__ import annotations

import hashlib
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np

from jobs.pages.gallery_choosing import Chosen
from jobs.pages.gallery_items import (
    Figures,
    GalleryItem,
    Overlay,
    Partner,
    Picture,
    ReferencePicture,
)
from jobs.pages.gallery_pictures import (
    MOST_BYTES,
    attention_overlay,
    data_uri,
    full_image,
    outline,
    similarity_overlay,
    thumbnail,
)
from jobs.pages.prompt import prompt_parts
from jobs.pipeline.explaining import Explained
from jobs.pipeline.results.numbers import plain
from jobs.pipeline.scored_samples import Picture as Decoded
from jobs.pipeline.scored_samples import SamplePictures

ALL_BYTES = 2_000_000
"""Of all thumbnails together, of which base64 makes a third more: a page has at most 5 MB."""
ALL_MAPS = 1_200_000
"""Characters of all maps together; those that come later are left out."""
MOST_REFERENCES = 4
"""Photos that are shown of one sample."""
GENERATION = "generation"
NO_SCORES = frozenset({"cp", "pf", "fg_fraction", "merit"})


@dataclass(frozen=True)
class Fetched:
    """A sample that was chosen, and what could be had of it."""

    chosen: Chosen
    pictures: SamplePictures
    partner: SamplePictures | None = None
    explained: Explained | None = None
    notes: Sequence[str] = ()

    @property
    def n_bytes(self) -> int:
        """What is shown takes in its shards."""
        return self.pictures.n_bytes + (self.partner.n_bytes if self.partner else 0)

    @property
    def n_pictures(self) -> int:
        """At most."""
        return 2 + min(MOST_REFERENCES, len(self.pictures.references))


class _Pictures:
    """Makes the pictures of a page, all of them within its bounds."""

    def __init__(self, n: int, assets: str | None) -> None:
        self._most_bytes = min(MOST_BYTES, ALL_BYTES // max(1, n))
        self._assets = assets
        self._left_for_maps = ALL_MAPS
        self.files: dict[str, bytes] = {}
        """Full images, by their paths relative to the page."""

    def picture(self, decoded: Decoded | None, overlay: Overlay | None = None) -> Picture | None:
        """One image with the outline of its mask."""
        if decoded is None:
            return None
        content, (width, height) = thumbnail(decoded.image, self._most_bytes)
        return Picture(
            data_uri(content, "image/webp"),
            *(width, height),
            outline(decoded.mask, (width, height)),
            self._full(decoded),
            overlay,
        )

    def fits(self, maps: Mapping[int | str, tuple[Overlay, str]]) -> bool:
        """Whether these maps, and what goes with each, still have room in the page."""
        n = sum(len(m.uri) + len(m.values) + len(m.shown) + len(rest) for m, rest in maps.values())
        self._left_for_maps -= n
        return self._left_for_maps >= 0

    def _full(self, decoded: Decoded) -> str | None:
        if self._assets is None:
            return None
        content = full_image(decoded.image)
        # Named by what it holds: a photo that several samples share is one file.
        path = f"{self._assets}/{hashlib.sha256(content).hexdigest()[:16]}.webp"
        self.files[path] = content
        return path


def show(
    fetched: Sequence[Fetched], runs: Sequence[str], assets: str | None
) -> tuple[list[GalleryItem], dict[str, bytes]]:
    """The items of a gallery, and the files beside its page.

    Args:
        runs: URLs without credentials; the baseline's, where there is one, is the last.
        assets: folder for full images; None makes none.
    """
    pictures = _Pictures(sum(each.n_pictures for each in fetched), assets)
    ends = _ends([each.explained for each in fetched if each.explained is not None])
    anchors: set[str] = set()
    items = [_item(each, runs, pictures, ends, anchors) for each in fetched]
    return items, pictures.files


def named(chosen: Chosen, run: str) -> tuple[str, Figures]:
    """Why a sample matters that has no picture, and its figures."""
    return "; ".join(chosen.reasons), _figures(chosen.row, run)


def _item(
    fetched: Fetched,
    runs: Sequence[str],
    pictures: _Pictures,
    ends: tuple[float, float],
    anchors: set[str],
) -> GalleryItem:
    chosen, notes = fetched.chosen, [*fetched.pictures.problems, *fetched.notes]
    maps = _maps(fetched.explained, ends) if fetched.explained is not None else {}
    if not pictures.fits(maps):
        maps = {}
        notes.append("no heat maps, as the page would be too large; the command below draws them")
    partner = None
    if chosen.partner is not None:
        own = fetched.partner
        partner = Partner(
            _figures(chosen.partner, runs[-1]),
            pictures.picture(own.generation if own else None),
            own.problems[0] if own and own.problems else None,
        )
    more = len(chosen.row["references"] or ()) - MOST_REFERENCES
    if more > 0:
        notes.append(f"{more} further references are not shown")
    return GalleryItem(
        _anchor(chosen.row["key"], anchors),
        chosen.reasons,
        chosen.kinds,
        _figures(chosen.row, runs[chosen.run]),
        pictures.picture(fetched.pictures.generation, maps[GENERATION][0] if maps else None),
        _references(fetched, pictures, maps),
        partner,
        notes,
    )


def _maps(found: Explained, ends: tuple[float, float]) -> dict[int | str, tuple[Overlay, str]]:
    """The map of each reference that is shown, by its number, with the patches that met it; and
    that of the generation."""
    explanation = found.explanation
    attention = attention_overlay(explanation.attention, ~explanation.hidden)
    maps: dict[int | str, tuple[Overlay, str]] = {GENERATION: (attention, "")}
    for number, match in enumerate(explanation.references[:MOST_REFERENCES]):
        overlay = similarity_overlay(match.similarity, match.foreground, *ends)
        maps[number] = overlay, " ".join(map(str, match.best_match.flat))
    return maps


def _references(
    fetched: Fetched, pictures: _Pictures, maps: Mapping[int | str, tuple[Overlay, str]]
) -> list[ReferencePicture]:
    row = fetched.chosen.row
    cp = dict(zip(row["references"] or (), row["cp_per_reference"] or (), strict=False))
    shown = []
    for number, decoded in enumerate(fetched.pictures.references[:MOST_REFERENCES]):
        overlay, matches = maps.get(number, (None, ""))
        picture = pictures.picture(decoded, overlay)
        assert picture is not None
        shown.append(
            ReferencePicture(decoded.key, picture, plain(_number(cp.get(decoded.key))), matches)
        )
    return shown


def _ends(found: Sequence[Explained]) -> tuple[float, float]:
    """What the colours of all maps of CP stand for: the same cosine has one colour on a page."""
    counted = [
        match.similarity[match.foreground]
        for each in found
        for match in each.explanation.references
    ]
    values = np.concatenate([np.array([]), *counted])
    if not len(values):
        return 0.0, 1.0
    low, high = np.quantile(values, [0.01, 0.99])
    return float(low), float(high)


def _figures(row: Mapping[str, Any], run: str) -> Figures:
    scores = [("CP", plain(_number(row["cp"]))), ("PF", plain(_number(row["pf"])))]
    scores += [
        (name, plain(value))
        for name, value in row.items()
        if name not in NO_SCORES and isinstance(value, float)
    ]
    seed = row["seed"]
    words = [f"run={run}", f"key={row['key']}", f"model={row['model']}", "out=sample.png"]
    return Figures(
        *(row["key"], row["model"], row["concept"], run),
        "" if seed is None else str(seed),
        prompt_parts(row["prompt"] or "", row["text"]),
        scores,
        f"python -m jobs.explain {shlex.join(words)}",
    )


def _anchor(key: str, taken: set[str]) -> str:
    """The `id` of an item, of characters that an address may hold."""
    first = f"sample={quote(key, safe='/:._-~')}"
    anchor, number = first, 1
    while anchor in taken:
        number += 1
        anchor = f"{first}~{number}"
    taken.add(anchor)
    return anchor


def _number(value: float | None) -> float:
    return math.nan if value is None else value
