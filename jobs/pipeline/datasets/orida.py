"""ORIDa: real photos of objects on many backgrounds, as pairs of one object and of two.

    SOURCE/train/<subject>/factual_only/{images,annotations/masks}/<stem>.jpg, <stem>_mask.jpg
    SOURCE/train/<subject>/factual_counterfactual/<scene>/{images,annotations/masks}/...

`<stem>` is `<id>_<scene>_<k>`; `_0` is the empty scene, and never used. A scene's id without its
last character, the camera's angle, is its background. What is paired, by the protocol of MaSC's
authors:

1. Subjects in numeric order; of each its backgrounds in sorted order, with a photo each: of
   `factual_only` the first file in name order; of a background that is not there the first scene of
   `factual_counterfactual` in name order, its `_1` photo.
2. A photo without a mask, or whose mask covers 0.5 % of its pixels or less, leaves its background
   out; no other photo steps in. So does one that cannot be read.
3. The first 10 backgrounds of the first 50 subjects that have as many.
4. `pairing.pairs_of` them.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from jobs.pipeline.datasets.entries import ROLES, Contents
from jobs.pipeline.datasets.folders import names_in, require_folders
from jobs.pipeline.datasets.loading import load_pair
from jobs.pipeline.datasets.missing import Missing
from jobs.pipeline.datasets.pairing import Photo, paired_entries
from jobs.pipeline.datasets.settings import DatasetConfig
from jobs.pipeline.errors import CallError, SampleError
from jobs.pipeline.shards.conversion import Stored
from jobs.pipeline.shards.images import mask_values

MODEL = "orida"

MIN_COVERED = 0.005
"""A mask that covers no more of its photo leaves the background out."""

BACKGROUNDS = 10
"""Of each subject."""

SUBJECTS = 50

STEM = re.compile(r"[^_]+_(.+)_([^_]+)")
"""Scene and number, in the name of a photo without its suffix."""

EMPTY_SCENE = "0"

NO_SUBJECT = "directories in train/ that are no subject's number, left out"
STRANGE_NAME = "photos that are not called ID_SCENE_K.jpg, left out"
NO_PHOTO = "backgrounds whose first scene has no photo _1, left out"
NO_MASK = "backgrounds whose photo has no mask, left out"
SMALL_MASK = "backgrounds whose photo's mask covers 0.5 % or less, left out"
UNREADABLE = "backgrounds whose photo cannot be read, left out"
UNREADABLE_MASK = "backgrounds whose photo's mask cannot be read or is another's, left out"
FEW_BACKGROUNDS = f"subjects with fewer than {BACKGROUNDS} backgrounds, left out"
FEW_SUBJECTS = f"subjects short of the protocol's {SUBJECTS}"


@dataclass(frozen=True)
class _Chosen:
    """The photos of a subject, by the sorted names of their backgrounds; and what it lacks."""

    photos: list[Photo]
    lacks: list[tuple[str, str]]
    """Cause and name."""


def read(config: DatasetConfig) -> Contents:
    """The photos of the protocol's pairs, each as a generation and as a reference.

    Raises:
        CallError: it is not of that layout, or not enough of it for pairs.
    """
    assert config.source is not None
    source = require_folders(config.source, "orida", "train")
    missing = Missing()
    subjects: list[list[Photo]] = []
    for name, chosen in _in_threads(_numbered(source / "train", missing), config.upright):
        for cause, what in chosen.lacks:
            missing.add(cause, what)
        if len(chosen.photos) < BACKGROUNDS:
            missing.add(FEW_BACKGROUNDS, f"{name} ({len(chosen.photos)})")
            continue
        subjects.append(chosen.photos)
        if len(subjects) == SUBJECTS:
            break
    if len(subjects) < SUBJECTS:
        missing.add(FEW_SUBJECTS, f"{len(subjects)} are there", SUBJECTS - len(subjects))
    try:
        entries = paired_entries(subjects, MODEL) if subjects else []
    except ValueError as error:
        raise CallError(f"source={config.source}: {error}") from error
    return Contents(entries, ROLES, missing, required=ROLES)


def _numbered(train: Path, missing: Missing) -> list[Path]:
    """The subjects' directories in numeric order."""
    names = names_in(train)
    for name in names:
        if not (name.isascii() and name.isdigit()):
            missing.add(NO_SUBJECT, name)
    numbered = [name for name in names if name.isascii() and name.isdigit()]
    return [train / name for name in sorted(numbered, key=lambda name: (int(name), name))]


def _in_threads(subjects: list[Path], upright: bool) -> Iterator[tuple[str, _Chosen]]:
    """The subjects with their photos, in order; not many more are looked at than are drawn."""
    at_once = max(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(at_once) as pool:
        for start in range(0, len(subjects), at_once):
            some = subjects[start : start + at_once]
            found = pool.map(partial(_choose, upright=upright), some)
            yield from zip((path.name for path in some), found, strict=True)


def _choose(subject: Path, upright: bool) -> _Chosen:
    """A subject's first backgrounds whose photos are of use."""
    chosen = _Chosen([], [])
    photos = _photos_by_background(subject, chosen.lacks)
    for background in sorted(photos):
        if len(chosen.photos) == BACKGROUNDS:
            break
        image = photos[background]
        if image is None:
            continue
        mask = image.parents[1] / "annotations" / "masks" / f"{image.stem}_mask.jpg"
        if lack := _lack_of(image, mask, upright):
            chosen.lacks.append(lack)
            continue
        key = f"{subject.name}/{image.stem}"
        fields = {"prompt_id": background}
        chosen.photos.append(Photo(key, subject.name, image, mask, fields))
    return chosen


def _photos_by_background(subject: Path, lacks: list[tuple[str, str]]) -> dict[str, Path | None]:
    """The photo of each background, None where there should be one and is not."""
    photos: dict[str, Path | None] = {}
    folder = subject / "factual_only" / "images"
    for name in _jpegs(folder):
        named = STEM.fullmatch(Path(name).stem)
        if named is None or len(named[1]) < 2:
            lacks.append((STRANGE_NAME, str(folder / name)))
        elif named[2] != EMPTY_SCENE:
            photos.setdefault(named[1][:-1], folder / name)
    scenes = subject / "factual_counterfactual"
    for scene in names_in(scenes):
        if scene[:-1] and scene[:-1] not in photos:
            photo = _first_photo(scenes / scene / "images", int(subject.name), scene)
            photos[scene[:-1]] = photo
            if photo is None:
                lacks.append((NO_PHOTO, str(scenes / scene)))
    return photos


def _first_photo(folder: Path, subject: int, scene: str) -> Path | None:
    names = _jpegs(folder)
    expected = f"00{subject:03d}_{scene}_1.jpg"
    if expected in names:
        return folder / expected
    return next((folder / name for name in names if Path(name).stem.endswith("_1")), None)


def _jpegs(folder: Path) -> list[str]:
    return [name for name in names_in(folder) if name.lower().endswith(".jpg")]


def _lack_of(image: Path, mask: Path, upright: bool) -> tuple[str, str] | None:
    """Why a photo leaves its background out, and its name."""
    if not mask.is_file():
        return NO_MASK, str(image)
    try:
        pair = load_pair(image, mask, upright, decodes=True)
    except SampleError as error:
        return UNREADABLE, f"{image}: {error}"
    if pair.mask is None:
        return UNREADABLE_MASK, f"{mask}: {pair.mask_problem}"
    return (SMALL_MASK, str(mask)) if _covered(pair.mask) <= MIN_COVERED else None


def _covered(mask: Stored) -> float:
    """The share of its pixels that are foreground: nearer to 255 than to 0, since what JPEG makes
    of 0 is a little more around edges."""
    with Image.open(io.BytesIO(mask.content)) as image:
        values = mask_values(image)
    return float((values > (127 if values.max() > 1 else 0)).mean())
