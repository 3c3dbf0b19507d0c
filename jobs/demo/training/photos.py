"""Photos of the rendered world whose truth is known: what an encoder is looked at with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from jobs.demo.world.render import Pose, random_pose, render
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import Subject

SIZES = ((192, 192), (256, 192), (192, 256))
"""Sizes (width, height), in pixels, that photos take in turn."""


@dataclass(frozen=True)
class Photo:
    """A photo whose truth is known."""

    subject: Subject
    scene: int
    """Index into SCENES."""
    image: Image.Image
    """RGB."""
    mask: np.ndarray
    """uint8 (H, W), of the image's size: 255 where the subject is, else 0."""


def take_photo(subject: Subject, scene: int, pose: Pose, size: tuple[int, int]) -> Photo:
    """The subject in scene number `scene`; size (width, height) in pixels."""
    image, mask = render(subject, SCENES[scene], pose, size)
    return Photo(subject, scene, image, np.asarray(mask))


def take_photos(subjects: Sequence[Subject], photos_each: int, seed: int = 0) -> list[Photo]:
    """`photos_each` photos of every subject, those of one subject in different scenes."""
    photos = []
    for index, subject in enumerate(subjects):
        rng = np.random.default_rng([seed, index])
        for number, scene in enumerate(rng.permutation(len(SCENES))[:photos_each].tolist()):
            size = SIZES[(index + number) % len(SIZES)]
            photos.append(take_photo(subject, scene, random_pose(rng), size))
    return photos
