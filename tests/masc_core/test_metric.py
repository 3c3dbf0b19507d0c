"""What MaSC promises beyond equal scores."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image

from masc_core import Encoder, Generation, MaSC
from masc_core.aggregators import AGGREGATORS, Pair
from tests.pictures import painted


@pytest.fixture(scope="module")
def masc(naflex_checkpoint: Path) -> MaSC:
    return MaSC(Encoder.from_pretrained(str(naflex_checkpoint), max_num_patches=64))


def photos(*seeds: int) -> tuple[list[Image.Image], list[np.ndarray]]:
    """Painted photos, and their masks."""
    painted_photos = [painted((160, 160), seed) for seed in seeds]
    return [photo for photo, _ in painted_photos], [mask for _, mask in painted_photos]


def test_an_image_is_its_own_best_match(masc: MaSC) -> None:
    image, mask = painted((160, 160), 1)
    assert masc.score(image, mask, image, mask, "a cat").cp == pytest.approx(1.0, abs=1e-6)


def test_the_largest_of_several_references_can_be_asked_for(masc: MaSC) -> None:
    greedy = MaSC(masc.encoder, reference_reduction="max")
    references = greedy.encode_references(*photos(1, 2, 3))
    [score] = greedy.score_batch([Generation(*painted((160, 160), 4), "a cat", references)])
    assert score.cp == max(score.cp_per_reference)


def test_a_reference_without_foreground_is_left_out_of_the_mean(masc: MaSC) -> None:
    (photo, mask), (other, _) = painted((160, 160), 1), painted((160, 160), 2)
    references = masc.encode_references([photo, other], [mask, np.zeros((160, 160), np.uint8)])
    [score] = masc.score_batch([Generation(*painted((160, 160), 4), "a cat", references)])
    assert math.isnan(score.cp_per_reference[1])
    assert score.cp == score.cp_per_reference[0]
    assert score.n_ref_fg_patches[1] == 0


def test_nothing_is_encoded_twice(masc: MaSC) -> None:
    references = masc.encode_references(*photos(1, 2))
    generations = [
        Generation(*painted((160, 160), i), f"a cat in scene {i % 2}", references) for i in range(4)
    ]
    images, texts, counted = [], [], []
    encode_images, encode_texts = masc.encoder.encode_images, masc.encoder.encode_texts
    count = masc.encoder.count_tokens
    with (
        patch.object(
            masc.encoder, "encode_images", lambda p, g: images.append(len(p)) or encode_images(p, g)
        ),
        patch.object(masc.encoder, "encode_texts", lambda t: texts.extend(t) or encode_texts(t)),
        patch.object(masc.encoder, "count_tokens", lambda t: counted.extend(t) or count(t)),
    ):
        masc.score_batch(generations)
        masc.score_batch(generations[:1])
    assert images == [4, 1]
    assert sorted(texts) == sorted(counted) == ["a cat in scene 0", "a cat in scene 1"]


def test_a_generation_without_references_is_refused(masc: MaSC) -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        masc.score_batch([Generation(*painted((32, 32), 0), "a cat", [])])


def test_a_further_aggregator_is_a_function_and_a_name(
    masc: MaSC, monkeypatch: pytest.MonkeyPatch
) -> None:
    def foreground_share(pair: Pair) -> float:
        assert pair.cosines.shape == (len(pair.reference_weights), len(pair.generation_weights))
        return float((pair.generation_weights >= pair.fg_threshold).float().mean())

    monkeypatch.setitem(AGGREGATORS, "foreground_share", foreground_share)
    asking = MaSC(masc.encoder, extra=["cp.foreground_share"])
    image, mask = painted((160, 160), 1)
    score = asking.score(image, mask, image, mask, "a cat")
    assert score.extra == {"cp.foreground_share": score.n_fg_patches / score.n_patches}
    assert score.extra_per_reference == {"cp.foreground_share": list(score.extra.values())}


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ({"reference_reduction": "median"}, r"reference_reduction='median': .*'mean', 'max'"),
        ({"fg_threshold": 50}, "fg_threshold=50: expected a mask weight, 0 to 1"),
        ({"fg_threshold": math.nan}, "fg_threshold=nan: expected"),
        ({"fg_threshold": "0.5"}, "fg_threshold='0.5': expected"),
        ({"stripper": "fuzzy"}, "stripper='fuzzy': expected one of .*'regex'"),
        ({"extra": ["nothing"]}, r"extra=\['nothing'\]: no such column 'nothing'"),
        ({"dtype": "fp16"}, r"dtype='fp16': expected one of \('float32', 'bfloat16', 'float16'\)"),
        ({"dtype": torch.int8}, "dtype='int8': expected"),
        ({"max_num_patches": 0}, "max_num_patches=0: expected a whole number"),
        ({"max_num_patches": 99.5}, r"max_num_patches=99\.5: expected"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_refused_before_anything_is_loaded(
    argument: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        MaSC.from_pretrained("/nowhere", **argument)


def test_the_constructor_refuses_what_from_pretrained_does(masc: MaSC) -> None:
    with pytest.raises(ValueError, match="reference_reduction='median'"):
        MaSC(masc.encoder, reference_reduction="median")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dtype='fp16'"):
        MaSC("/nowhere", dtype="fp16")  # type: ignore[arg-type]


def test_masks_of_any_kind_score_as_arrays_do(masc: MaSC) -> None:
    image, mask = painted((160, 160), 1)
    expected = masc.score(image, mask, image, mask, "a cat on a mat", "cat")
    for same in (mask.tolist(), Image.fromarray(mask), torch.from_numpy(mask), mask > 0):
        assert masc.score(image, same, image, same, "a cat on a mat", "cat") == expected


def test_images_and_texts_of_another_type_are_named(masc: MaSC) -> None:
    image, mask = painted((160, 160), 1)
    with pytest.raises(TypeError, match=r"an image is a PIL\.Image\.Image, not a ndarray"):
        masc.prepare(np.asarray(image), mask)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="prompt=None: expected text"):
        masc.score(image, mask, image, mask, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"subject=\['cat'\]: expected text, or None"):
        masc.score(image, mask, image, mask, "a cat", ["cat"])  # type: ignore[arg-type]


def test_photos_and_masks_that_do_not_pair_up_are_counted(masc: MaSC) -> None:
    image, mask = painted((160, 160), 1)
    with pytest.raises(ValueError, match="1 photos and 160 masks: expected one a photo"):
        masc.encode_references([image], mask)
