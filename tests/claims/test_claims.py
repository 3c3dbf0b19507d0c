"""A slice of the claims, on test concepts: a change that breaks the meaning turns one red."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.demo.training import claims
from jobs.demo.training.encoding import encode_photos
from jobs.demo.training.photos import take_photos
from jobs.demo.world.subjects import concepts
from masc_core import MaSC
from tests.claims.figures import MOST_LOST, MOST_MOVED, on_real_photos
from tests.photos import Photo

pytestmark = pytest.mark.slow

N_CONCEPTS = 36
PHOTOS_EACH = 3


@pytest.fixture(scope="module")
def masc() -> MaSC:
    return MaSC.from_pretrained("demo", device="cpu")


@pytest.fixture(scope="module")
def measured(masc: MaSC) -> dict[str, float]:
    return claims.measure(masc, concepts("test")[:N_CONCEPTS], PHOTOS_EACH)


def test_cp_tells_the_same_subject_in_another_scene_from_another_subject(
    measured: dict[str, float],
) -> None:
    assert measured["auc.cp"] > 0.98


def test_cp_is_not_misled_by_another_subject_in_the_reference_s_scene(
    measured: dict[str, float],
) -> None:
    assert measured["auc.cp.same_scene"] > 0.97


def test_cp_separates_better_than_the_global_pool(measured: dict[str, float]) -> None:
    assert measured["auc.cp-global"] > 0.08
    assert measured["auc.cp.same_scene"] > measured["auc.global.same_scene"] + 0.1


def test_pf_follows_the_scene(measured: dict[str, float]) -> None:
    assert measured["top1.background.stripped"] > 0.95


def test_background_and_stripped_prompt_follow_better_than_the_whole_of_both(
    measured: dict[str, float],
) -> None:
    ours = measured["top1.background.stripped"]
    assert ours > measured["top1.full.full.other"] + 0.1
    assert ours >= measured["top1.full.full"]


def test_cp_falls_with_every_degree_of_damage(measured: dict[str, float]) -> None:
    cp = [measured[f"cp.damage.{amount:g}"] for amount in claims.DAMAGE]
    assert cp == sorted(cp, reverse=True)
    assert cp[0] - cp[-1] > 0.3


def test_of_what_is_wholly_damaged_no_more_is_kept_than_of_another_subject(
    measured: dict[str, float],
) -> None:
    assert measured["cp.damage.1"] < measured["cp.other_of_its_kind"]


def test_cp_does_not_move_with_the_scene(measured: dict[str, float]) -> None:
    assert abs(measured["cp.shift_with_scene"]) < MOST_MOVED["cp.shift_with_scene"]


def test_pf_falls_with_the_wrong_scene_and_not_with_the_subject(
    measured: dict[str, float],
) -> None:
    assert measured["pf.right_scene"] > measured["pf.wrong_scene"] + 0.2
    for name in ("pf.shift_with_subject", "pf.shift_with_damage"):
        assert abs(measured[name]) < MOST_MOVED[name]


def test_masks_that_are_a_third_of_a_patch_too_large_cost_little(
    measured: dict[str, float],
) -> None:
    assert measured["auc.cp.dilated.5"] > measured["auc.cp"] - MOST_LOST
    assert measured["top1.dilated.5"] > measured["top1.background.stripped"] - MOST_LOST


def test_the_figures_can_fail(masc: MaSC) -> None:
    """With the mask on the background instead, CP no longer knows the subject."""
    photos = take_photos(concepts("test")[:12], 3)
    wrong = encode_photos(masc, [replace(photo, mask=255 - photo.mask) for photo in photos])
    right = encode_photos(masc, photos)
    assert claims.identity(photos, wrong)["auc.cp"] < claims.identity(photos, right)["auc.cp"] - 0.2


def test_real_photos_are_reported_as_they_are(masc: MaSC, photos: dict[str, list[Photo]]) -> None:
    few = {subject: photos[subject][:2] for subject in sorted(photos)[:4]}
    for figure in on_real_photos(masc, few):
        assert 0 <= figure.value <= 1
        assert figure.is_met is None
