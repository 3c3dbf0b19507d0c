"""The figures of the claims, on embeddings whose cosines can be read off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.demo.training import claims
from jobs.demo.training.encoding import Encoded
from jobs.demo.training.photos import Photo
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import concept
from masc_core import MaSC

CAR, OTHER_CAR, CAT = concept("red car"), concept("striped blue car"), concept("grey cat")


def photo(subject: Any, scene: int) -> Photo:
    return Photo(subject, scene, Image.new("RGB", (1, 1)), np.zeros((1, 1), np.uint8))


def at(*degrees: float) -> torch.Tensor:
    """Unit vectors (n, 2) at these angles."""
    radians = torch.tensor(degrees).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def of_one_patch(tokens: torch.Tensor, pools: torch.Tensor) -> Encoded:
    """Photos that are a single patch of foreground, so that CP is the cosine of their tokens."""
    patches = [token[None] for token in tokens]
    return Encoded(patches, patches, pools, pools)


def test_identity_compares_pairs_of_one_subject_with_pairs_of_two() -> None:
    """Two photos of a car 40 degrees apart, another car at 60, and a cat at 110."""
    photos = [photo(CAR, 0), photo(CAR, 1), photo(OTHER_CAR, 1), photo(CAT, 0)]
    encoded = of_one_patch(at(0, 40, 60, 110), pools=at(0, 90, 10, 20))
    figures = claims.identity(photos, encoded)
    # By token the pair is 40 apart; cross pairs 60, 110, 20, 70 and 50.
    assert figures["auc.cp"] == pytest.approx(4 / 5)
    # In one scene: car and cat (110), car and car (20). Of one kind: 60 and 20.
    assert figures["auc.cp.same_scene"] == pytest.approx(1 / 2)
    assert figures["auc.cp.same_kind"] == pytest.approx(1 / 2)
    # By pool the pair is 90 apart, wider than every cross pair.
    assert figures["auc.global"] == figures["auc.global.same_scene"] == 0
    assert figures["auc.cp-global"] == pytest.approx(4 / 5)


class OfTheScene:
    """A text encoder that hears the scene alone: one axis each."""

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        heard = [[scene.phrase in text for scene in SCENES] for text in texts]
        return torch.tensor(heard).float()


class OfTheSubject(OfTheScene):
    """One that hears a red car loudest."""

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        loud = torch.tensor([[9.0 if "a red car" in text else 0.0] for text in texts])
        return torch.cat([super().embed_texts(texts), loud], dim=1)


def test_a_scene_is_recognised_by_the_prompt_that_scores_highest() -> None:
    photos = [photo(CAR, 0), photo(CAT, 1), photo(OTHER_CAR, 2)]
    axes = torch.eye(len(SCENES))
    encoded = Encoded([], [], full=axes[[0, 5, 5]], background=axes[[0, 1, 5]])
    figures = claims.scenes_recognised(OfTheScene(), photos, encoded)  # type: ignore[arg-type]
    for text in ("stripped", "full", "full.other"):
        assert figures[f"top1.background.{text}"] == pytest.approx(2 / 3)
        assert figures[f"top1.full.{text}"] == pytest.approx(1 / 3)


def test_where_the_right_scene_s_prompt_names_another_subject_the_subject_misleads() -> None:
    photos = [photo(CAR, 0), photo(OTHER_CAR, 1)]
    scene, car = torch.eye(len(SCENES) + 1)[[0, 1]], torch.eye(len(SCENES) + 1)[-1]
    pools = torch.stack([scene[0] + 2 * car, scene[1]])
    encoded = Encoded([], [], full=pools, background=pools)
    figures = claims.scenes_recognised(OfTheSubject(), photos, encoded)  # type: ignore[arg-type]
    assert figures["top1.full.full"] == 1
    # The first photo, in which the car is seen, goes to any scene whose prompt names the car.
    assert figures["top1.full.full.other"] == 1 / 2


def test_what_validation_follows_is_identity_and_the_scenes_by_pf() -> None:
    masc = MaSC.from_pretrained("demo", device="cpu")
    photos = claims.take_photos([CAR, CAT], 2)
    figures = claims.validation_figures(masc, photos)
    encoded = claims.encode_photos(masc, photos)
    recognised = claims.scenes_recognised(masc, photos, encoded)["top1.background.stripped"]
    expected = {**claims.identity(photos, encoded), "top1.background.stripped": recognised}
    assert figures == pytest.approx(expected, nan_ok=True)


def test_variants_differ_in_one_thing_each() -> None:
    variants = claims._variants(CAR, [CAR, CAT, OTHER_CAR], (64, 64), np.random.default_rng(0))
    there = variants["damage.0"].scene
    assert variants["damage.0"].subject == CAR
    assert variants["reference"].scene == variants["in its scene"].scene != there
    assert variants["in its scene"].subject == CAR
    assert variants["other subject"].subject == OTHER_CAR  # of its kind
    assert variants["other subject"].scene == there
    missing = [len(variants[f"damage.{amount:g}"].subject.missing) for amount in claims.ALL_DAMAGE]
    assert missing == sorted(missing)
    assert missing[0] == 0 < missing[-1]
