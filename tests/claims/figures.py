"""The claims as figures with what each must hold, and real photos beside them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from jobs.demo.training import claims
from jobs.demo.training.encoding import cp_matrix, encode
from jobs.demo.world.subjects import Subject
from jobs.pipeline.results.identity.auc import identity_auc
from masc_core import MaSC
from tests.benchmarks.figures import Figure, at_least, at_most
from tests.photos import Photo

MEANINGS = {
    "auc.cp": "AUC of CP, same subject in another scene against another subject",
    "auc.cp.same_scene": "the same, other subjects in the reference's scene",
    "auc.cp.same_kind": "the same, other subjects of its kind",
    "auc.global": "AUC of the encoder's own global pool",
    "auc.global.same_scene": "the same, other subjects in the reference's scene",
    "auc.cp-global": "CP's AUC minus the global pool's",
    "top1.background.stripped": "scene recognised of 24: background pool, stripped prompt",
    "top1.full.stripped": "full pool, stripped prompt",
    "top1.background.full": "background pool, full prompt",
    "top1.full.full": "full pool, full prompt",
    "top1.background.full.other": "background pool, full prompt, another subject in the right one",
    "top1.full.full.other": "full pool, full prompt, another subject in the right one",
    "cp.shift_with_scene": "CP in the reference's scene minus elsewhere, of its span",
    "pf.shift_with_subject": "PF of the right subject minus another's, of its span",
    "pf.shift_with_damage": "PF of the whole subject minus the damaged, of its span",
}

LEAST = {
    "auc.cp": 0.98,
    "auc.cp.same_scene": 0.97,
    "auc.cp-global": 0.08,
    "top1.background.stripped": 0.95,
}
"""What the checkpoint in the box promises."""

MOST_MOVED = {
    "cp.shift_with_scene": 0.2,
    "pf.shift_with_subject": 0.2,
    "pf.shift_with_damage": 0.2,
}
"""Shares of a score's span by which what it does not measure may move it, either way."""

MOST_LOST = 0.05
"""By which masks that are grown by 5 pixels may lower the first AUC and top-1."""


def held_against_targets(measured: dict[str, float]) -> list[Figure]:
    """What `claims.measure` found, in words, with the targets that there are."""
    figures = []
    for name, value in measured.items():
        meaning = MEANINGS.get(name, name)
        if name in LEAST:
            figures.append(at_least(meaning, value, "", LEAST[name], name))
        elif name in MOST_MOVED:
            bounded = at_most(meaning, value, "", MOST_MOVED[name], name)
            is_met = abs(value) <= MOST_MOVED[name]
            figures.append(Figure(**{**vars(bounded), "is_met": is_met}))
        else:
            figures.append(Figure(meaning, value, "", detail=name if meaning != name else ""))
    return [*figures, *_comparisons(measured)]


def _comparisons(measured: dict[str, float]) -> list[Figure]:
    """What has to be larger than what."""
    damage = [measured[f"cp.damage.{amount:g}"] for amount in claims.DAMAGE]
    gentle = claims.DILATIONS[0]
    return [
        at_least(
            "smallest step of CP down with damage",
            min(a - b for a, b in itertools.pairwise(damage)),
            "", 0.0, " > ".join(f"{cp:.3f}" for cp in damage),
        ),
        at_least(
            "background pool, stripped prompt minus full pool, full prompt of others",
            measured["top1.background.stripped"] - measured["top1.full.full.other"], "", 0.1,
        ),
        at_most(
            "CP of the wholly damaged minus another subject's",
            measured["cp.damage.1"] - measured["cp.other_of_its_kind"], "", 0.0,
        ),
        at_most(
            f"AUC of CP lost to masks {gentle} pixels too large",
            measured["auc.cp"] - measured[f"auc.cp.dilated.{gentle}"], "", MOST_LOST,
        ),
        at_most(
            f"scenes lost to masks {gentle} pixels too large",
            measured["top1.background.stripped"] - measured[f"top1.dilated.{gentle}"],
            "", MOST_LOST,
        ),
    ]  # fmt: skip


def measured_on(masc: MaSC, subjects: Sequence[Subject], photos_each: int) -> list[Figure]:
    """Every claim on those subjects."""
    return held_against_targets(claims.measure(masc, subjects, photos_each))


def on_real_photos(masc: MaSC, photos: dict[str, list[Photo]]) -> list[Figure]:
    """AUC on photographs, which the encoder in the box was never meant for: no target."""
    with_subjects = [(subject, photo) for subject, own in photos.items() for photo in own]
    images = [photo.image.convert("RGB") for _, photo in with_subjects]
    encoded = encode(masc, images, [photo.mask for _, photo in with_subjects])
    subjects = [subject for subject, _ in with_subjects]
    cp = cp_matrix(encoded, encoded)
    global_pool = np.asarray(encoded.full @ encoded.full.T)
    detail = f"{len(with_subjects)} photos of {len(photos)} subjects"
    return [
        Figure("real photos: AUC of CP", identity_auc(cp, subjects), "", detail=detail),
        Figure("real photos: AUC of the global pool", identity_auc(global_pool, subjects), ""),
    ]
