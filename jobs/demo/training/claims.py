"""The paper's claims in small: what a trained encoder's scores do where the truth is known.

On photos, in the world's scenes, of concepts that no training has seen. `measure` gives every
figure by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from jobs.demo.training.encoding import Encoded, cp_matrix, embed_texts, encode_photos
from jobs.demo.training.photos import SIZES, Photo, take_photo, take_photos
from jobs.demo.world.prompts import prompt
from jobs.demo.world.render import random_pose
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import Subject, damaged
from jobs.pipeline.results.identity.auc import auc, identity_auc, within_and_cross
from masc_core.masks import dilated
from masc_core.metric import MaSC

DAMAGE = (0.0, 0.125, 0.25, 0.375, 0.5)
"""Degrees in which something of the subject is left; beyond them CP is where it is for another
subject, and falls no further."""
ALL_DAMAGE = (*DAMAGE, 1.0)
DILATIONS = (5, 10)
"""Radii in pixels that masks grow by, at 192 pixels a photo: a third of a patch, and two."""


def measure(masc: MaSC, subjects: Sequence[Subject], photos_each: int) -> dict[str, float]:
    """Every figure of the claims, on `photos_each` photos a subject, each in a scene of its own."""
    photos = take_photos(subjects, photos_each)
    encoded = encode_photos(masc, photos)
    return {
        **identity(photos, encoded),
        **scenes_recognised(masc, photos, encoded),
        **damage_and_scene(masc, subjects),
        **dilation(masc, photos),
    }


def validation_figures(masc: MaSC, photos: Sequence[Photo]) -> dict[str, float]:
    """What a training is followed by: the figures of `identity`, and the scenes recognised by PF.

    The global pool's AUC is among them, for CP's is held against it.
    """
    encoded = encode_photos(masc, photos)
    return {**identity(photos, encoded), "top1.background.stripped": _top1(masc, photos, encoded)}


def identity(photos: Sequence[Photo], encoded: Encoded) -> dict[str, float]:
    """Whether CP, and the global pool, tell the same subject in another scene from another one."""
    scenes = np.array([photo.scene for photo in photos])
    kinds = np.array([photo.subject.kind for photo in photos])
    within, cross = within_and_cross([photo.subject.id for photo in photos])
    same_scene, same_kind = np.equal.outer(scenes, scenes), np.equal.outer(kinds, kinds)
    cp = cp_matrix(encoded, encoded)
    global_pool = (encoded.full @ encoded.full.T).numpy()
    figures = {
        "auc.cp": auc(cp[within], cp[cross]),
        "auc.cp.same_scene": auc(cp[within], cp[cross & same_scene]),
        "auc.cp.same_kind": auc(cp[within], cp[cross & same_kind]),
        "auc.global": auc(global_pool[within], global_pool[cross]),
        "auc.global.same_scene": auc(global_pool[within], global_pool[cross & same_scene]),
    }
    return {**figures, "auc.cp-global": figures["auc.cp"] - figures["auc.global"]}


def scenes_recognised(masc: MaSC, photos: Sequence[Photo], encoded: Encoded) -> dict[str, float]:
    """Share of photos whose scene scores highest of all: {background, full} pool by {stripped,
    full} prompt; and the same with the subject against the scene, where the prompt of the right
    scene names another subject and those of the wrong scenes name the photo's own.
    """
    subjects = [photo.subject for photo in photos]
    scenes = np.array([photo.scene for photo in photos])
    rng = np.random.default_rng(0)
    others = [_other_of_kind(subject, subjects, rng) for subject in subjects]
    texts: dict[str, Callable[[int, int], str]] = {
        "stripped": lambda i, k: prompt(None, SCENES[k]),
        "full": lambda i, k: prompt(subjects[i], SCENES[k]),
        "full.other": lambda i, k: prompt(others[i] if k == scenes[i] else subjects[i], SCENES[k]),
    }
    pools = {"background": encoded.background, "full": encoded.full}
    figures = {}
    for name, text in texts.items():
        words = embed_texts(
            masc, [text(i, k) for i in range(len(photos)) for k in range(len(SCENES))]
        ).view(len(photos), len(SCENES), -1)
        for pool, images in pools.items():
            best = torch.einsum("nd,nsd->ns", images, words).argmax(dim=1).numpy()
            figures[f"top1.{pool}.{name}"] = float((best == scenes).mean())
    return figures


def damage_and_scene(masc: MaSC, subjects: Sequence[Subject]) -> dict[str, float]:
    """How CP and PF move when one thing changes in a photo and all else stays.

    A reference of every subject in one scene; then the same subject, in one pose, in that scene, in
    another, damaged by degrees, and another subject of its kind in its place. Shifts are shares of
    what the score spans: for CP from another subject to the same one, for PF from a wrong scene to
    the right one.
    """
    by_variant: dict[str, list[Photo]] = {}
    rng = np.random.default_rng(1)
    for index, subject in enumerate(subjects):
        for variant, photo in _variants(subject, subjects, SIZES[index % len(SIZES)], rng).items():
            by_variant.setdefault(variant, []).append(photo)
    encoded = {variant: encode_photos(masc, photos) for variant, photos in by_variant.items()}
    cp = {
        variant: cp_matrix(encoded["reference"], photos).diagonal()
        for variant, photos in encoded.items()
    }
    words = embed_texts(masc, [prompt(None, scene) for scene in SCENES])
    right_words = words[torch.tensor([photo.scene for photo in by_variant["damage.0"]])]
    pf = {
        variant: (photos.background * right_words).sum(dim=-1).numpy()
        for variant, photos in encoded.items()
    }
    cp_span = cp["damage.0"].mean() - cp["other subject"].mean()
    pf_span = pf["damage.0"].mean() - pf["in its scene"].mean()
    return {
        **{f"cp.damage.{a:g}": float(cp[f"damage.{a:g}"].mean()) for a in ALL_DAMAGE},
        "cp.other_of_its_kind": float(cp["other subject"].mean()),
        "cp.shift_with_scene": float((cp["in its scene"] - cp["damage.0"]).mean() / cp_span),
        "pf.right_scene": float(pf["damage.0"].mean()),
        "pf.wrong_scene": float(pf["in its scene"].mean()),
        "pf.shift_with_subject": float((pf["damage.0"] - pf["other subject"]).mean() / pf_span),
        "pf.shift_with_damage": float((pf["damage.0"] - pf["damage.1"]).mean() / pf_span),
    }


def dilation(masc: MaSC, photos: Sequence[Photo]) -> dict[str, float]:
    """AUC of CP, and scenes recognised by PF, when every mask is too large."""
    figures: dict[str, float] = {}
    subjects = [photo.subject.id for photo in photos]
    for pixels in DILATIONS:
        grown = [replace(photo, mask=dilated(photo.mask, pixels)) for photo in photos]
        encoded = encode_photos(masc, grown)
        figures |= {
            f"auc.cp.dilated.{pixels}": identity_auc(cp_matrix(encoded, encoded), subjects),
            f"top1.dilated.{pixels}": _top1(masc, grown, encoded),
        }
    return figures


def _variants(
    subject: Subject, subjects: Sequence[Subject], size: tuple[int, int], rng: np.random.Generator
) -> dict[str, Photo]:
    """The photos of `damage_and_scene`, of one subject, by name."""
    here, there = rng.choice(len(SCENES), 2, replace=False).tolist()
    reference_pose, pose = random_pose(rng), random_pose(rng)
    other = _other_of_kind(subject, subjects, rng)
    return {
        "reference": take_photo(subject, here, reference_pose, size),
        "in its scene": take_photo(subject, here, pose, size),
        "other subject": take_photo(other, there, pose, size),
        **{f"damage.{a:g}": take_photo(damaged(subject, a), there, pose, size) for a in ALL_DAMAGE},
    }


def _other_of_kind(
    subject: Subject, subjects: Sequence[Subject], rng: np.random.Generator
) -> Subject:
    """Another of its kind, or of another kind where there is none."""
    others = [other for other in subjects if other != subject]
    of_its_kind = [other for other in others if other.kind == subject.kind]
    candidates = of_its_kind or others
    return candidates[rng.integers(len(candidates))]


def _top1(masc: MaSC, photos: Sequence[Photo], encoded: Encoded) -> float:
    """Share of photos whose scene has the highest PF of all: background pool, stripped prompt."""
    words = embed_texts(masc, [prompt(None, scene) for scene in SCENES])
    best = (encoded.background @ words.T).argmax(dim=1).numpy()
    return float((best == [photo.scene for photo in photos]).mean())
