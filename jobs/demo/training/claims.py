"""The paper's claims in small: what a trained encoder's scores do where the truth is known.

Photos of concepts that no training has seen, in the world's scenes. `measure` gives every figure by
name; CP and PF are computed as `masc_core.metric` does, from one forward pass a photo.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter

from jobs.demo.world.prompts import prompt
from jobs.demo.world.render import Pose, random_pose, render
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import Subject, damaged
from masc_core.masks import mask_weights
from masc_core.metric import MaSC
from masc_core.similarity import masked_max_cosine, unit

SIZES = ((192, 192), (256, 192), (192, 256))
DAMAGE = (0.0, 0.125, 0.25, 0.375, 0.5)
"""Degrees in which something of the subject is left; beyond them CP is where it is for another
subject, and falls no further."""
ALL_DAMAGE = (*DAMAGE, 1.0)
DILATIONS = (5, 10)
"""Pixels that masks grow by, on each side, at 192 pixels a photo: a third of a patch, and two."""

_BATCH = 32
_TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class Taken:
    """A photo whose truth is known."""

    subject: Subject
    scene: int
    """Index into SCENES."""
    image: Image.Image
    mask: np.ndarray


@dataclass(frozen=True)
class Encoded:
    """Photos after the encoder; all embeddings of length 1."""

    foregrounds: list[torch.Tensor]
    """A photo's patch tokens under its mask (R, D), as a reference has them."""
    tokens: list[torch.Tensor]
    """All patch tokens of a photo (N, D)."""
    full: torch.Tensor
    """(n, D): the attention pool over all patches, which is the encoder's own embedding."""
    background: torch.Tensor
    """(n, D): the attention pool over the patches that PF sees."""


def measure(masc: MaSC, subjects: Sequence[Subject], photos_each: int) -> dict[str, float]:
    """Every figure of the claims, on `photos_each` photos a subject, each in a scene of its own."""
    album = take_photos(subjects, photos_each)
    encoded = encode(masc, [each.image for each in album], [each.mask for each in album])
    return {
        **identity(album, encoded),
        **scenes_recognised(masc, album, encoded),
        **damage_and_scene(masc, subjects),
        **dilation(masc, album),
    }


def glance(masc: MaSC, album: Sequence[Taken]) -> dict[str, float]:
    """The two figures that a training is followed by, and the one that CP is held against."""
    encoded = encode(masc, [each.image for each in album], [each.mask for each in album])
    return {**identity(album, encoded), "top1.background.stripped": _top1(masc, album, encoded)}


def take_photos(subjects: Sequence[Subject], photos_each: int, seed: int = 0) -> list[Taken]:
    """Photos of every subject, each in another scene."""
    album = []
    for index, subject in enumerate(subjects):
        rng = np.random.default_rng([seed, index])
        for number, scene in enumerate(rng.permutation(len(SCENES))[:photos_each].tolist()):
            size = SIZES[(index + number) % len(SIZES)]
            album.append(_take(subject, scene, random_pose(rng), size))
    return album


def encode(masc: MaSC, images: Sequence[Image.Image], masks: Sequence[np.ndarray]) -> Encoded:
    """Encode photos, those of one patch grid together."""
    encoder = masc.encoder
    prepared = [encoder.prepare_image(image) for image in images]
    tokens: dict[int, torch.Tensor] = {}
    by_grid = itertools.groupby(
        sorted(range(len(prepared)), key=lambda i: prepared[i][1]), key=lambda i: prepared[i][1]
    )
    for grid, indices in by_grid:
        for batch in _batches(list(indices), _BATCH):
            encoded = encoder.encode_images(torch.stack([prepared[i][0] for i in batch]), grid)
            tokens.update(zip(batch, encoded, strict=True))
    foregrounds, full, background = [], [], []
    for i, mask in enumerate(masks):
        weights = mask_weights(mask, prepared[i][1])
        foregrounds.append(unit(tokens[i])[weights > masc.fg_threshold])
        hidden = torch.stack([torch.zeros(len(weights), dtype=torch.bool),
                              weights >= masc.fg_threshold])  # fmt: skip
        pools = unit(encoder.pool(tokens[i][None], hidden[None])[0])
        full.append(pools[0])
        background.append(pools[1])
    every = [unit(tokens[i]) for i in range(len(prepared))]
    return Encoded(foregrounds, every, torch.stack(full), torch.stack(background))


def cp_matrix(references: Encoded, generations: Encoded) -> np.ndarray:
    """CP of every generation against every reference, (references, generations)."""
    cp = np.empty((len(references.foregrounds), len(generations.tokens)))
    lengths = np.array([len(tokens) for tokens in generations.tokens])
    for length in np.unique(lengths):
        chosen = np.flatnonzero(lengths == length)
        stacked = torch.stack([generations.tokens[i] for i in chosen])
        cp[:, chosen] = masked_max_cosine(references.foregrounds, stacked).T.numpy()
    return cp


def auc(same: np.ndarray, cross: np.ndarray) -> float:
    """The chance that a pair of one subject scores above a pair of two; ties count half.

    NaN without pairs of either sort.
    """
    if not (len(same) and len(cross)):
        return float("nan")
    ordered = np.sort(cross)
    below = np.searchsorted(ordered, same, "left") + np.searchsorted(ordered, same, "right")
    return float(below.mean() / 2 / len(ordered))


def identity_auc(scores: np.ndarray, subjects: Sequence[str]) -> float:
    """AUC of same-subject pairs against cross-subject pairs; scores (n, n), reference by photo."""
    same, cross = _pairs(subjects)
    return auc(scores[same], scores[cross])


def identity(album: Sequence[Taken], encoded: Encoded) -> dict[str, float]:
    """Whether CP, and the global pool, tell the same subject in another scene from another one."""
    subjects = [each.subject.id for each in album]
    scene = np.array([each.scene for each in album])
    same, cross = _pairs(subjects)
    same_kind = np.equal.outer(*2 * [np.array([each.subject.kind for each in album])])
    beside = np.equal.outer(scene, scene)
    cp = cp_matrix(encoded, encoded)
    whole = (encoded.full @ encoded.full.T).numpy()
    figures = {
        "auc.cp": auc(cp[same], cp[cross]),
        "auc.cp.same_scene": auc(cp[same], cp[cross & beside]),
        "auc.cp.same_kind": auc(cp[same], cp[cross & same_kind]),
        "auc.global": auc(whole[same], whole[cross]),
        "auc.global.same_scene": auc(whole[same], whole[cross & beside]),
    }
    return {**figures, "auc.cp-global": figures["auc.cp"] - figures["auc.global"]}


def scenes_recognised(masc: MaSC, album: Sequence[Taken], encoded: Encoded) -> dict[str, float]:
    """Share of photos whose scene scores highest of all: {background, full} pool by {stripped,
    full} prompt; and the same with the subject against the scene, where the prompt of the right
    scene names another subject and those of the wrong scenes name the photo's own.
    """
    subjects = [each.subject for each in album]
    scene = np.array([each.scene for each in album])
    rng = np.random.default_rng(0)
    others = [_other_of_kind(subject, subjects, rng) for subject in subjects]
    texts: dict[str, Callable[[int, int], str]] = {
        "stripped": lambda i, k: prompt(None, SCENES[k]),
        "full": lambda i, k: prompt(subjects[i], SCENES[k]),
        "full.other": lambda i, k: prompt(others[i] if k == scene[i] else subjects[i], SCENES[k]),
    }
    pools = {"background": encoded.background, "full": encoded.full}
    figures = {}
    for name, text in texts.items():
        words = _embed(masc, [text(i, k) for i in range(len(album)) for k in range(len(SCENES))])
        words = words.view(len(album), len(SCENES), -1)
        for pool, images in pools.items():
            best = torch.einsum("nd,nsd->ns", images, words).argmax(dim=1).numpy()
            figures[f"top1.{pool}.{name}"] = float((best == scene).mean())
    return figures


def damage_and_scene(masc: MaSC, subjects: Sequence[Subject]) -> dict[str, float]:
    """How CP and PF move when one thing changes in a photo and all else stays.

    A reference of every subject in one scene; then the same subject, in one pose, in that scene, in
    another, damaged by degrees, and another subject of its kind in its place. Shifts are shares of
    what the score spans: for CP from another subject to the same one, for PF from a wrong scene to
    the right one.
    """
    shown: dict[str, list[Taken]] = {}
    rng = np.random.default_rng(1)
    for index, subject in enumerate(subjects):
        here, there = rng.choice(len(SCENES), 2, replace=False).tolist()
        first, second = random_pose(rng), random_pose(rng)
        size = SIZES[index % len(SIZES)]
        other = _other_of_kind(subject, subjects, rng)
        variants = {
            "reference": _take(subject, here, first, size),
            "in its scene": _take(subject, here, second, size),
            "other subject": _take(other, there, second, size),
            **{
                f"damage.{a:g}": _take(damaged(subject, a), there, second, size) for a in ALL_DAMAGE
            },
        }
        for name, photo in variants.items():
            shown.setdefault(name, []).append(photo)
    encoded = {
        name: encode(masc, [each.image for each in photos], [each.mask for each in photos])
        for name, photos in shown.items()
    }
    cp = {
        name: cp_matrix(encoded["reference"], photos).diagonal() for name, photos in encoded.items()
    }
    words = _embed(masc, [prompt(None, scene) for scene in SCENES])
    there_words = words[torch.tensor([each.scene for each in shown["damage.0"]])]
    pf = {
        name: (photos.background * there_words).sum(dim=-1).numpy()
        for name, photos in encoded.items()
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


def dilation(masc: MaSC, album: Sequence[Taken]) -> dict[str, float]:
    """AUC of CP, and scenes recognised by PF, when every mask is too large."""
    figures: dict[str, float] = {}
    for pixels in DILATIONS:
        grown = [replace(each, mask=dilated(each.mask, pixels)) for each in album]
        encoded = encode(masc, [each.image for each in grown], [each.mask for each in grown])
        subjects = [each.subject.id for each in grown]
        figures |= {
            f"auc.cp.dilated.{pixels}": identity_auc(cp_matrix(encoded, encoded), subjects),
            f"top1.dilated.{pixels}": _top1(masc, grown, encoded),
        }
    return figures


def dilated(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The mask (H, W) grown by a square of `pixels` on each side."""
    return np.asarray(Image.fromarray(mask).filter(ImageFilter.MaxFilter(2 * pixels + 1)))


def _take(subject: Subject, scene: int, pose: Pose, size: tuple[int, int]) -> Taken:
    image, mask = render(subject, SCENES[scene], pose, size)
    return Taken(subject, scene, image, np.asarray(mask))


def _pairs(subjects: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs (n, n) of different photos are of one subject, and which of two."""
    same = np.equal.outer(np.array(subjects), np.array(subjects))
    return same & ~np.eye(len(same), dtype=bool), ~same


def _other_of_kind(
    subject: Subject, subjects: Sequence[Subject], rng: np.random.Generator
) -> Subject:
    """Another of its kind, or of another kind where there is none."""
    others = [other for other in subjects if other != subject]
    alike = [other for other in others if other.kind == subject.kind]
    return (alike or others)[rng.integers(len(alike or others))]


def _top1(masc: MaSC, album: Sequence[Taken], encoded: Encoded) -> float:
    """Share of photos whose scene has the highest PF of all: background pool, stripped prompt."""
    words = _embed(masc, [prompt(None, scene) for scene in SCENES])
    best = (encoded.background @ words.T).argmax(dim=1).numpy()
    return float((best == [each.scene for each in album]).mean())


def _embed(masc: MaSC, texts: Sequence[str]) -> torch.Tensor:
    """Unit embeddings (n, D); each text is encoded once."""
    different = list(dict.fromkeys(texts))
    parts = [unit(masc.embed_texts(part)) for part in _batches(different, _TEXTS_AT_ONCE)]
    row = {text: index for index, text in enumerate(different)}
    return torch.cat(parts)[torch.tensor([row[text] for text in texts])]


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
