"""The four segmenters: what they find, by whatever batches and at whatever precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from masc_core.protocol import Batch
from masc_core.segmenters import load_segmenter, make_segmenter, sam2, segment_image, union
from masc_core.segmenters.protocol import Segmenter
from tests.masc_core.segmenters.plain import PLAIN
from tests.masc_core.segmenters.small import TWO_STAGE, small_settings
from tests.photos import Photo
from tests.pictures import painted

pytestmark = pytest.mark.slow

NEAR = 1e-4
"""Of a threshold: there a pixel may fall on either side."""

Sample = tuple[Image.Image, str]


@pytest.fixture(params=list(PLAIN))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def loaded(name: str, checkpoints: Mapping[str, str], **settings: Any) -> Any:
    segmenter = make_segmenter(name, **small_settings(name, checkpoints, **settings))
    segmenter.load()
    return segmenter


def in_batches(segmenter: Segmenter, samples: list[Any], size: int) -> Iterator[np.ndarray]:
    for first in range(0, len(samples), size):
        batch = samples[first : first + size]
        yield from segmenter.segment(Batch(batch, torch.stack([each.pixels for each in batch])))


@pytest.fixture(scope="module")
def shown(photos: dict[str, list[Photo]]) -> list[Sample]:
    """One photo of each subject; all are square, so half are cut to two other shapes."""
    samples = [(own[0].image.convert("RGB"), own[0].noun) for own in photos.values()]
    for i, height in ((slice(0, None, 4), 350), (slice(1, None, 4), 500)):
        samples[i] = [(image.crop((0, 0, 480, height)), noun) for image, noun in samples[i]]
    return samples


PICTURES = [(painted((90, 60), seed)[0], noun) for seed, noun in enumerate(("dog", "cat", "toy"))]


def test_masks_equal_a_plain_use_of_the_library(
    name: str, checkpoints: Mapping[str, str], shown: list[Sample]
) -> None:
    make_plain, threshold = PLAIN[name]
    plain, segment = (
        make_plain(checkpoints),
        load_segmenter(name, **small_settings(name, checkpoints)),
    )
    n_found, n_partial = [], 0
    for image, noun in shown:
        mask = segment(image, noun)
        assert mask.dtype == np.uint8
        assert mask.shape == (image.height, image.width)
        assert set(np.unique(mask)) <= {0, 255}
        foreground = mask == 255
        n, expected_at = plain(image, noun)
        assert not (foreground & ~expected_at(threshold - NEAR)).any()
        assert not (expected_at(threshold + NEAR) & ~foreground).any()
        n_found.append(n)
        n_partial += 0.005 < foreground.mean() < 0.995
    assert n_partial >= len(shown) / 3
    if name != "clipseg":  # which finds no things, but a map
        assert max(n_found) > 1


def test_the_size_of_a_batch_changes_nothing(name: str, checkpoints: Mapping[str, str]) -> None:
    segmenter = loaded(name, checkpoints)
    samples = [segmenter.prepare(image, noun) for image, noun in PICTURES]
    assert len({sample.bucket for sample in samples}) == 1
    one, three = (list(in_batches(segmenter, samples, size)) for size in (1, 3))
    assert any(0 < (mask == 255).mean() < 1 for mask in one)
    for alone, together in zip(one, three, strict=True):
        np.testing.assert_array_equal(alone, together)


def test_images_of_several_sizes_have_masks_of_their_own_sizes(
    checkpoints: Mapping[str, str],
) -> None:
    segmenter = loaded("owlv2_sam2", checkpoints)
    sizes = [(90, 60), (31, 77), (200, 40)]
    samples = [segmenter.prepare(painted(size, 0)[0], "dog") for size in sizes]
    masks = segmenter.segment(Batch(samples, torch.stack([each.pixels for each in samples])))
    assert [mask.shape for mask in masks] == [(60, 90), (77, 31), (40, 200)]


@pytest.mark.parametrize(
    ("name", "threshold"),
    [
        ("clipseg", "mask_threshold"),
        ("sam3", "score_threshold"),
        ("grounded_sam2", "box_threshold"),
        ("owlv2_sam2", "box_threshold"),
    ],
)
def test_where_nothing_is_found_the_mask_is_empty(
    name: str, threshold: str, checkpoints: Mapping[str, str]
) -> None:
    segmenter = loaded(name, checkpoints, **{threshold: 1.0})
    for image, noun in PICTURES:
        mask = segment_image(segmenter, image, noun)
        assert mask.shape == (60, 90)
        assert not mask.any()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_lower_precision_stays_near_float32(
    name: str, dtype: str, checkpoints: Mapping[str, str]
) -> None:
    exact, rounded = (loaded(name, checkpoints, dtype=own) for own in ("float32", dtype))
    same = [
        (segment_image(exact, image, noun) == segment_image(rounded, image, noun)).mean()
        for image, noun in PICTURES
    ]
    assert np.mean(same) > 0.9
    assert exact.network.model.dtype == rounded.network.model.dtype == torch.float32


@pytest.mark.parametrize("name", TWO_STAGE)
def test_an_images_features_are_computed_once_for_all_its_boxes(
    name: str, checkpoints: Mapping[str, str]
) -> None:
    segmenter = loaded(name, checkpoints)
    samples = [segmenter.prepare(image, noun) for image, noun in PICTURES]
    batch = Batch(samples, torch.stack([each.pixels for each in samples]))
    n_boxes = [len(boxes) for boxes in segmenter.detect(batch)]
    assert max(n_boxes) > 1
    seen: list[int] = []
    hook = segmenter.sam2.model.vision_encoder.register_forward_pre_hook(
        lambda module, args: seen.append(len(args[0]))
    )
    segmenter.segment(batch)
    hook.remove()
    assert seen == [sum(n > 0 for n in n_boxes)]


@pytest.mark.parametrize("name", ["sam3", *TWO_STAGE])
def test_few_at_once_give_the_same_union(
    name: str, checkpoints: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = loaded(name, checkpoints)
    whole = [segment_image(segmenter, *sample) for sample in PICTURES]
    monkeypatch.setattr(union, "VALUES_AT_ONCE", 1)
    monkeypatch.setattr(sam2, "BOXES_AT_ONCE", 1)
    for mask, sample in zip(whole, PICTURES, strict=True):
        np.testing.assert_array_equal(segment_image(segmenter, *sample), mask)


def test_threads_prepare_as_one_does(name: str, checkpoints: Mapping[str, str]) -> None:
    segmenter = loaded(name, checkpoints)
    samples = [(painted((90, 60), i)[0], "dog" * (i + 1)) for i in range(12)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda sample: segmenter.prepare(*sample), samples))
    fresh = loaded(name, checkpoints)
    for sample, ours in zip(samples, together, strict=True):
        alone = fresh.prepare(*sample)
        assert torch.equal(ours.pixels, alone.pixels)
        assert all(torch.equal(ours.inputs[key], alone.inputs[key]) for key in alone.inputs)


def test_a_text_longer_than_the_tower_is_cut(name: str, checkpoints: Mapping[str, str]) -> None:
    mask = segment_image(loaded(name, checkpoints), PICTURES[0][0], "dog " * 1000)
    assert mask.shape == (60, 90)


def test_the_case_of_a_text_and_the_stop_at_its_end_are_grounding_dinos_own(
    checkpoints: Mapping[str, str],
) -> None:
    segmenter = loaded("grounded_sam2", checkpoints)
    expected, *others = [
        segmenter.prepare(PICTURES[0][0], text).inputs["input_ids"].tolist()
        for text in ("dog.", "Dog", " DOG ", "dog")
    ]
    assert all(other == expected for other in others)


def test_a_blank_text_is_refused(name: str, checkpoints: Mapping[str, str]) -> None:
    with pytest.raises(ValueError, match="no text says what to find"):
        loaded(name, checkpoints).prepare(PICTURES[0][0], " \n")


def test_in_a_notebook_any_image_will_do(checkpoints: Mapping[str, str]) -> None:
    segment = load_segmenter("clipseg", **small_settings("clipseg", checkpoints))
    image = PICTURES[0][0]
    expected = segment(image, "dog")
    np.testing.assert_array_equal(segment(image.convert("RGBA"), "dog"), expected)
    with pytest.raises(TypeError, match=r"a PIL\.Image\.Image, not a ndarray"):
        segment(np.asarray(image), "dog")  # type: ignore[arg-type]
