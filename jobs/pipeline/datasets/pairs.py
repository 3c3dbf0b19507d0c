"""Any folder of subjects, as pairs of photos of one subject and of two.

    SOURCE/<subject>/<name>.jpg         jpeg, png and webp too
    SOURCE/<subject>/<name>.mask.png    or <name>_mask, <name>-mask; where there is one

A subject's noun is its folder's name, with spaces for `_`.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jobs.pipeline.datasets.entries import ROLES, Contents
from jobs.pipeline.datasets.folders import names_in, require_folders
from jobs.pipeline.datasets.loading import image_problem
from jobs.pipeline.datasets.missing import Missing
from jobs.pipeline.datasets.pairing import Photo, paired_entries
from jobs.pipeline.datasets.settings import DatasetConfig
from jobs.pipeline.errors import CallError
from jobs.pipeline.shards.members import IMAGE_SUFFIXES

MASK_OF = re.compile(r"(.+)[._-]mask", re.IGNORECASE)
"""The name of a photo, in that of its mask; both without suffix."""

NOT_IN_A_FOLDER = "images that lie beside the subjects' folders, left out"
NO_IMAGE = f"files that are none of {', '.join(IMAGE_SUFFIXES)}, left out"
LONELY_MASK = "masks without a photo, left out"
SAME_NAME = "photos whose name another has but for its suffix, left out"
UNREADABLE = "photos that cannot be read, left out"
NO_PHOTO = "folders without a photo, left out"


def read(config: DatasetConfig) -> Contents:
    """The photos of all pairs, each as a generation and as a reference.

    Raises:
        CallError: it is no folder of subjects, or there are too few for pairs.
    """
    assert config.source is not None
    source = require_folders(config.source, "pairs")
    missing = Missing()
    folders = []
    for name in names_in(source):
        if (source / name).is_dir():
            folders.append(source / name)
        elif _is_image(name):
            missing.add(NOT_IN_A_FOLDER, name)
    subjects = [photos for folder in folders if (photos := _sound_photos(folder, missing))]
    try:
        entries = paired_entries(subjects, source.resolve().name) if subjects else []
    except ValueError as error:
        raise CallError(f"source={config.source}: {error}") from error
    return Contents(entries, ROLES, missing, required=ROLES)


def _sound_photos(folder: Path, missing: Missing) -> list[Photo]:
    photos = _photos(folder, missing)
    with ThreadPoolExecutor() as pool:
        problems = list(pool.map(lambda photo: image_problem(photo.image), photos))
    for photo, problem in zip(photos, problems, strict=True):
        if problem:
            missing.add(UNREADABLE, f"{photo.image}: {problem}")
    sound = [photo for photo, problem in zip(photos, problems, strict=True) if not problem]
    if not sound:
        missing.add(NO_PHOTO, folder.name)
    return sound


def _photos(folder: Path, missing: Missing) -> list[Photo]:
    """A subject's, in name order, with their masks."""
    photos: dict[str, str] = {}
    masks: dict[str, str] = {}
    for name in names_in(folder):
        stem = Path(name).stem
        if of := MASK_OF.fullmatch(stem):
            masks[of[1]] = name
        elif not _is_image(name):
            missing.add(NO_IMAGE, f"{folder.name}/{name}")
        elif photos.setdefault(stem, name) != name:
            missing.add(SAME_NAME, f"{folder.name}/{name}")
    for stem in sorted(masks.keys() - photos.keys()):
        missing.add(LONELY_MASK, f"{folder.name}/{masks[stem]}")
    noun = {"subject": folder.name.replace("_", " ")}
    return [
        Photo(
            *(f"{folder.name}/{stem.replace('.', '_')}", folder.name, folder / name),
            *(folder / masks[stem] if stem in masks else None, noun),
        )
        for stem, name in photos.items()
    ]


def _is_image(name: str) -> bool:
    return Path(name).suffix.lstrip(".").lower() in IMAGE_SUFFIXES
