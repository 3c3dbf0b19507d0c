"""Our scores against those of the authors' own package, on the same checkpoints."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from masc_core import Generation, MaSC
from tests.photos import Photo
from tests.pictures import painted

TOLERANCE = 1e-5
PROMPT = "a photo of a {} on the beach, with a red ball"


@pytest.fixture(scope="module", params=["naflex", "fixed"])
def scorers(request: pytest.FixtureRequest) -> tuple[MaSC, Any]:
    """Ours and the oracle on one checkpoint."""
    from masc import MaSC as Oracle

    path: Path = request.getfixturevalue(f"{request.param}_checkpoint")
    return MaSC.from_pretrained(str(path)), Oracle(str(path), device="cpu")


def assert_equal(ours: float, theirs: float) -> float:
    """Equal to `TOLERANCE`, NaN to NaN; the difference."""
    assert math.isnan(ours) == math.isnan(theirs)
    difference = 0.0 if math.isnan(ours) else abs(ours - theirs)
    assert difference <= TOLERANCE
    return difference


def assert_same_diagnostics(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    for name, value in theirs.items():
        if name != "stripper_model":  # ours names the stripper only
            assert ours[name] == pytest.approx(value, abs=1e-6), name


def full(size: tuple[int, int], value: float) -> np.ndarray:
    return np.full((size[1], size[0]), value, np.uint8)


@pytest.mark.parametrize("size", [(320, 320), (400, 250), (113, 331), (64, 20), (1, 1)])
def test_one_pair_of_any_size_scores_as_the_authors_do(
    scorers: tuple[MaSC, Any], size: tuple[int, int]
) -> None:
    ours, oracle = scorers
    reference, generation = painted((300, 200), 1), painted(size, 2)
    a = ours.score(*reference, *generation, PROMPT.format("Cat"), "cat")
    b = oracle.score(*reference, *generation, PROMPT.format("Cat"), "cat")
    assert_equal(a.cp, b.cp)
    assert_equal(a.pf, b.pf)
    assert_same_diagnostics(a.extras, b.extras)


def masks_of(size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Masks that meet every branch, for an image of (width, height)."""
    width, height = size
    half = full(size, 0)
    half[: height // 2 + height // 64] = 255
    grey = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
    checks = (np.indices((height, width)).sum(0) % 2 * 255).astype(np.uint8)
    return {
        "empty": full(size, 0),
        "full": full(size, 255),
        "half a patch": half,
        "grey": grey,
        "checks of one pixel": checks,
        "zeros and ones": half // 255,
        "a float": half.astype(np.float32) / 255,
        "booleans": half > 0,
        "one pixel": painted((1, 1), 0)[1],
        "another aspect": painted((90, 400), 5)[1],
    }


@pytest.mark.parametrize("name", masks_of((320, 320)))
def test_any_mask_gives_the_authors_scores_counts_and_nans(
    scorers: tuple[MaSC, Any], name: str
) -> None:
    ours, oracle = scorers
    (photo, photo_mask), (image, image_mask) = painted((320, 320), 1), painted((320, 320), 2)
    mask = masks_of((320, 320))[name]
    for masks in ((mask, image_mask), (photo_mask, mask), (mask, mask)):
        a = ours.score(photo, masks[0], image, masks[1], "a cat", "cat")
        b = oracle.score(photo, masks[0], image, masks[1], "a cat", "cat")
        assert_equal(a.cp, b.cp)
        assert_equal(a.pf, b.pf)
        assert_same_diagnostics(a.extras, b.extras)


def test_a_weight_of_exactly_one_half_is_no_foreground_to_cp_and_foreground_to_pf(
    scorers: tuple[MaSC, Any],
) -> None:
    ours, oracle = scorers
    image, _ = painted((160, 160), 3)
    # A mask at 128/255 is above one half everywhere, one of 0.5 exactly on it.
    mask = np.full((160, 160), 0.5, np.float32)
    a = ours.score(image, mask, image, mask, "a cat")
    b = oracle.score(image, mask, image, mask, "a cat")
    assert math.isnan(a.cp)
    assert math.isnan(b.cp)
    assert math.isnan(a.pf)
    assert math.isnan(b.pf)
    assert a.n_fg_patches == a.n_patches
    assert a.n_ref_fg_patches == [0]


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1", "I;16", "F"])
def test_an_image_of_any_mode_scores_as_the_authors_do(
    scorers: tuple[MaSC, Any], mode: str
) -> None:
    ours, oracle = scorers
    image, mask = painted((200, 150), 4)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    a = ours.score(image, mask, image, mask, "a cat")
    b = oracle.score(image, mask, image, mask, "a cat")
    assert_equal(a.cp, b.cp)
    assert_equal(a.pf, b.pf)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_a_batch_of_mixed_shapes_and_references_scores_each_as_alone(
    scorers: tuple[MaSC, Any], batch_size: int
) -> None:
    ours, oracle = scorers
    sizes = [(320, 320), (320, 200), (200, 320), (128, 128)]
    photos = [painted(size, 10 + i) for i, size in enumerate(sizes)]
    encoded = ours.encode_references([p[0] for p in photos], [p[1] for p in photos])
    chosen = [[0], [0, 1], [1, 2, 3], [3], [0, 1], [2], [0], [3, 2, 1, 0]]
    images = [painted(sizes[i % 3], 20 + i) for i in range(8)]
    prompts = [PROMPT.format(("cat", "dog")[i % 2]) for i in range(8)]
    generations = [
        Generation(*images[i], prompts[i], [encoded[j] for j in chosen[i]], "dog") for i in range(8)
    ]
    scores = [
        score
        for start in range(0, 8, batch_size)
        for score in ours.score_batch(generations[start : start + batch_size])
    ]
    for i, score in enumerate(scores):
        theirs = [oracle.score(*photos[j], *images[i], prompts[i], "dog") for j in chosen[i]]
        for a, b in zip(score.cp_per_reference, theirs, strict=True):
            assert_equal(a, b.cp)
        assert_equal(score.cp, sum(b.cp for b in theirs) / len(theirs))
        assert_equal(score.pf, theirs[0].pf)
        assert score.text == theirs[0].extras["prompt_text"]
        assert score.n_bg_patches == theirs[0].extras["pf_n_bg_pooled"]


@pytest.mark.parametrize(
    "prompt",
    ["", "a", "word " * 200, "Ünïcödé 猫 on a 🏖", "a cat  with   spaces\nand lines"],
    ids=["empty", "short", "long", "unicode", "spaces"],
)
def test_any_prompt_is_encoded_as_the_authors_do(naflex_checkpoint: Path, prompt: str) -> None:
    from masc import MaSC as Oracle

    ours, oracle = MaSC.from_pretrained(str(naflex_checkpoint)), Oracle(str(naflex_checkpoint))
    image, mask = painted((128, 128), 1)
    a, b = (each.score(image, mask, image, mask, prompt, "cat") for each in (ours, oracle))
    assert a.text == b.extras["prompt_text"]
    assert_equal(a.pf, b.pf)


@pytest.mark.slow
def test_photos_score_as_the_authors_do(
    scorers: tuple[MaSC, Any], photos: dict[str, list[Photo]]
) -> None:
    ours, oracle = scorers
    # Within a subject and across two, with one reference; the job's own test has several.
    subjects = list(photos.values())
    pairs = [(own[0], own[1]) for own in subjects]
    pairs += [(own[0], other[1]) for own, other in pairwise(subjects)]
    for photo, other in pairs:
        arguments = (photo.image, photo.mask, other.image, other.mask)
        prompt = PROMPT.format(other.noun)
        a = ours.score(*arguments, prompt, photo.noun)
        b = oracle.score(*arguments, prompt, photo.noun)
        assert_equal(a.cp, b.cp)
        assert_equal(a.pf, b.pf)
        assert_same_diagnostics(a.extras, b.extras)


def test_the_constructor_takes_the_authors_arguments(naflex_checkpoint: Path) -> None:
    from masc import MaSC as Oracle

    arguments: dict[str, Any] = {
        "model_id": str(naflex_checkpoint),
        "device": "cpu",
        "naflex_max_patches": 100,
        "fg_threshold": 0.3,
        "stripper": "none",
    }
    ours, oracle = MaSC(**arguments), Oracle(**arguments)
    reference, generation = painted((200, 140), 1), painted((140, 200), 2)
    a = ours.score(*reference, *generation, "a cat", object_name="cat")
    b = oracle.score(*reference, *generation, "a cat", object_name="cat")
    assert_equal(a.cp, b.cp)
    assert_equal(a.pf, b.pf)
    assert_same_diagnostics(a.extras, b.extras)
