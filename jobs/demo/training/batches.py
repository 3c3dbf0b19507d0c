"""Batches to train on: each concept of a batch photographed in two scenes, with its captions.

A batch follows from the seed and the step alone, whichever process makes it, so a training that is
resumed sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from jobs.demo.world.prompts import TEMPLATES, prompt
from jobs.demo.world.render import photograph, random_pose
from jobs.demo.world.scenes import SCENES, Scene
from jobs.demo.world.subjects import Subject, concept, nouns
from masc_core.masks import mask_weights

PATCH = 16

GRIDS = ((12, 12), (10, 14), (14, 10), (11, 11), (9, 12), (12, 9), (10, 10), (8, 11), (11, 8))
"""Patch grids (Hp, Wp), one a batch: what photos of 1:1, 4:3 and 3:4 become, in three sizes."""

BACKDROPS = 16
"""Times that a scene is painted. Painting takes ten times as long as all the rest of a photo, so
photos share backdrops, each cropped and mirrored by chance."""

_BACKDROP_SIDE = 224
_LEAST_CROP = 0.85
"""Of a backdrop's width; its height loses half as much, from above, so that the ground stays."""


@dataclass(frozen=True)
class PairBatch:
    """P concepts in two photos each: B = 2P photos, the second of each in the second half."""

    patches: torch.Tensor
    """uint8 (B, N, 768)."""
    grid: tuple[int, int]
    """Patch grid (Hp, Wp); N = Hp * Wp."""
    weights: torch.Tensor
    """float32 (B, N): the masks on the patch grid."""
    scenes: torch.Tensor
    """int64 (B,), index into SCENES."""
    captions: list[str]
    """P, of the photos in the first half."""
    names_subject: torch.Tensor
    """bool (P,): whether the caption names the subject."""
    names_scene: torch.Tensor
    """bool (P,): whether it names the scene."""


class PairBatches(torch.utils.data.Dataset[PairBatch]):
    """The batch of every step, by its number."""

    def __init__(
        self,
        seed: int,
        steps: int,
        pairs: int,
        individuals: int,
        scenes: int,
        drop_subject: float,
        drop_scene: float,
    ) -> None:
        """No two concepts of a batch have one noun, and they share `scenes` scenes. Captions drop a
        part by chance, at these rates, never both."""
        self._seed, self._steps = seed, steps
        self._pairs, self._individuals, self._scenes = pairs, individuals, scenes
        self._drop_subject, self._drop_scene = drop_subject, drop_scene

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> PairBatch:
        rng = np.random.default_rng([self._seed, step])
        grid = GRIDS[rng.integers(len(GRIDS))]
        train_nouns = nouns("train")
        chosen = [
            concept(train_nouns[i], int(rng.integers(self._individuals)))
            for i in rng.choice(len(train_nouns), self._pairs, replace=False)
        ]
        shared = rng.choice(len(SCENES), self._scenes, replace=False)
        # Two scenes a concept, never the same.
        pairs = np.array([rng.choice(shared, 2, replace=False) for _ in chosen])
        scenes = pairs.T.reshape(-1)
        photos = [
            _photo(subject, SCENES[scene], grid, rng)
            for subject, scene in zip(2 * chosen, scenes, strict=True)
        ]
        drawn = rng.random(len(chosen))
        with_subject = drawn >= self._drop_subject
        with_scene = (drawn < self._drop_subject) | (drawn >= self._drop_subject + self._drop_scene)
        captions = [
            prompt(
                subject if with_subject[i] else None,
                SCENES[scenes[i]] if with_scene[i] else None,
                TEMPLATES[rng.integers(len(TEMPLATES))],
            )
            for i, subject in enumerate(chosen)
        ]
        return PairBatch(
            patches=torch.from_numpy(np.stack([patches for patches, _ in photos])),
            grid=grid,
            weights=torch.stack([weights for _, weights in photos]),
            scenes=torch.from_numpy(scenes),
            captions=captions,
            names_subject=torch.from_numpy(with_subject),
            names_scene=torch.from_numpy(with_scene),
        )


def _photo(
    subject: Subject, scene: Scene, grid: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, torch.Tensor]:
    """Patches uint8 (N, 768), as the image processor cuts them, and mask weights (N,)."""
    down, across = grid
    backdrop = _backdrop(scene, (across * PATCH, down * PATCH), rng)
    image, mask = photograph(subject, scene, random_pose(rng), backdrop)
    pixels = np.asarray(image).reshape(down, PATCH, across, PATCH, 3)
    patches = pixels.transpose(0, 2, 1, 3, 4).reshape(down * across, -1)
    return patches, mask_weights(np.asarray(mask), grid)


def _backdrop(scene: Scene, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """The scene without a subject (RGB, `size`): one of its paintings, cropped and mirrored."""
    painted = _painted(scene, int(rng.integers(BACKDROPS)))
    if rng.random() < 0.5:
        painted = painted.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    lost = rng.uniform(0, 1 - _LEAST_CROP) * _BACKDROP_SIDE
    left = rng.uniform(0, lost)
    crop = (left, lost / 2, left + _BACKDROP_SIDE - lost, _BACKDROP_SIDE)
    return painted.resize(size, Image.Resampling.BILINEAR, box=crop)


@functools.cache
def _painted(scene: Scene, seed: int) -> Image.Image:
    return scene.paint(seed, (_BACKDROP_SIDE, _BACKDROP_SIDE))
