"""SuperPoint and LightGlue, against transformers' own way from two images to matches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from masc_core.comparators import ComparatorSettings, make_comparators
from masc_core.protocol import NOTES
from tests.masc_core.comparators.matcher_checkpoints import write_lightglue
from tests.masc_core.comparators.matching_pairs import plain_recall, small
from tests.masc_core.comparators.scoring import Note, Sample, batches, encoded, loaded, scored
from tests.photos import Photo

pytestmark = pytest.mark.slow

NAME = "lightglue.recall"
SIZE = (200, 160)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lightglue")
    write_lightglue(path)
    return path


@pytest.fixture(scope="module")
def references(photos: dict[str, list[Photo]]) -> list[Sample]:
    return [small(photo, SIZE) for photo in photos["teapot"][:2]]


@pytest.fixture(scope="module")
def generations(photos: dict[str, list[Photo]]) -> list[Sample]:
    return [small(photos[subject][-1], SIZE, "a photo") for subject in ("teapot", "dog2", "clock")]


def plain(path: Path, reference: Sample, generation: Sample, max_keypoints: int = -1) -> float:
    """Recall by the library: its processor, its forward on the pair."""
    from transformers import LightGlueForKeypointMatching, LightGlueImageProcessor

    model = LightGlueForKeypointMatching.from_pretrained(path)
    model.keypoint_detector.keypoint_decoder.max_keypoints = max_keypoints
    images = [reference.image, generation.image]
    inputs = LightGlueImageProcessor(do_resize=False)(images, return_tensors="pt")
    with torch.inference_mode():
        found = model(**inputs)
    of_reference = found.mask[0, 0].bool()
    size = torch.tensor([reference.image.width, reference.image.height])
    points = (found.keypoints[0] * size).round()
    matches = [
        (points[0, i].tolist(), points[1, j].tolist())
        for i, j in enumerate(found.matches[0, 0].tolist())
        if of_reference[i] and j >= 0
    ]
    return plain_recall(matches, reference.mask, generation.mask)


@pytest.mark.parametrize("size", [1, 3])
def test_recall_is_that_of_the_librarys_matches(
    checkpoint: Path,
    generations: list[Sample],
    references: list[Sample],
    size: int,
    note_difference: Note,
) -> None:
    metric = loaded(NAME, path=checkpoint)
    columns = scored(metric, generations, references, size)
    expected = [[plain(checkpoint, r, g) for r in references] for g in generations]
    note_difference(NAME, columns[f"{NAME}_per_reference"], expected)
    assert columns[f"{NAME}_per_reference"] == [pytest.approx(own, abs=1e-5) for own in expected]
    assert columns[NAME] == pytest.approx(np.mean(expected, axis=1).tolist(), abs=1e-5)
    assert columns.keys() == {*metric.columns, NOTES}
    assert columns[NOTES] == [None] * 3
    values = [value for own in expected for value in own]
    assert len({value for value in values if 0 < value < 1}) >= 3


def test_no_more_than_the_best_keypoints_count(
    checkpoint: Path,
    generations: list[Sample],
    references: list[Sample],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("masc_core.comparators.lightglue.MAX_KEYPOINTS", 150)
    [found] = scored(loaded(NAME, path=checkpoint), generations[:1], references[:1], 1)[NAME]
    assert found == pytest.approx(plain(checkpoint, references[0], generations[0], 150), abs=1e-5)
    assert found != pytest.approx(plain(checkpoint, references[0], generations[0]), abs=1e-3)


def test_images_of_two_sizes_are_each_normalised_by_its_own(
    checkpoint: Path, photos: dict[str, list[Photo]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import LightGlueForKeypointMatching, LightGlueImageProcessor
    from transformers.models.lightglue import modeling_lightglue

    samples = [small(photos["teapot"][0], (200, 160)), small(photos["teapot"][1], (136, 176), "it")]
    sizes = torch.tensor([own.image.size for own in samples], dtype=torch.float32)
    model = LightGlueForKeypointMatching.from_pretrained(checkpoint)
    detected = [
        model.keypoint_detector(
            LightGlueImageProcessor(do_resize=False)([own.image] * 2, return_tensors="pt")[
                "pixel_values"
            ][0, :1]
        )
        for own in samples
    ]
    points = [own.keypoints[0] * size for own, size in zip(detected, sizes, strict=True)]
    length = max(map(len, points))
    mask = torch.zeros(1, 2, length, dtype=torch.int)
    together, descriptors = torch.zeros(1, 2, length, 2), torch.zeros(1, 2, length, 32)
    for side, own in enumerate(detected):
        together[0, side, : len(points[side])] = points[side]
        descriptors[0, side, : len(points[side])] = own.descriptors[0]
        mask[0, side, : len(points[side])] = 1

    def each_by_its_own(keypoints: torch.Tensor, height: int, width: int) -> torch.Tensor:
        return (keypoints - sizes[:, None] / 2) / (sizes.amax(1) / 2)[:, None, None]

    with monkeypatch.context() as patched, torch.inference_mode():
        patched.setattr(modeling_lightglue, "normalize_keypoints", each_by_its_own)
        found, *_ = model._match_image_pair(together, descriptors, 0, 0, mask=mask)
    matches = [
        (points[0][i].tolist(), points[1][j].tolist())
        for i, j in enumerate(found.reshape(2, -1)[0, : len(points[0])].tolist())
        if j >= 0
    ]
    expected = plain_recall(matches, samples[0].mask, samples[1].mask)
    [value] = scored(loaded(NAME, path=checkpoint), samples[1:], samples[:1], 1)[NAME]
    assert value == pytest.approx(expected, abs=1e-5)
    assert 0 < value < 1


def test_an_image_goes_through_the_detector_once(
    checkpoint: Path, generations: list[Sample], references: list[Sample]
) -> None:
    metric: Any = loaded(NAME, path=checkpoint)
    counts: list[int] = []
    detector = metric.network._model.keypoint_detector
    detector.register_forward_pre_hook(lambda module, args: counts.append(len(args[0])))
    own = encoded(metric, references, 2)
    for batch in batches(metric, generations[:2], 2):
        metric.score(batch, [own, own[:1]])
    assert counts == [1] * 4


def test_an_image_without_keypoints_matches_nothing(
    checkpoint: Path, references: list[Sample]
) -> None:
    flat = replace(references[0], image=Image.new("RGB", SIZE, (90, 90, 90)), prompt="it")
    columns = scored(loaded(NAME, path=checkpoint), [flat], references[:1], 1)
    assert columns[NAME] == [0.0]


def test_a_mask_is_needed(checkpoint: Path, references: list[Sample]) -> None:
    metric = loaded(NAME, path=checkpoint)
    with pytest.raises(ValueError, match=f"^{NAME}: needs a mask$"):
        metric.prepare("", references[0].image, {}, None, None)


def test_the_threshold_of_foreground_is_in_the_fingerprint(checkpoint: Path) -> None:
    usual, lower = (
        make_comparators([NAME], ComparatorSettings(str(checkpoint), fg_threshold=each))
        for each in (0.5, 0.25)
    )
    assert lower.fingerprint() == {**usual.fingerprint(), "fg_threshold": 0.25}
    assert usual.source == f"comparators.lightglue.name_or_path={checkpoint}"
