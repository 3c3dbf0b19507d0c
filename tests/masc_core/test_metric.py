"""What MaSC promises beyond equal scores."""

from __future__ import annotations

import math
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

from masc_core import Encoder, Generation, MaSC
from masc_core.aggregators import AGGREGATORS, EncodedBatch
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


def test_a_further_metric_sees_the_batch_and_adds_its_score(
    masc: MaSC, monkeypatch: pytest.MonkeyPatch
) -> None:
    def foreground_share(batch: EncodedBatch) -> list[float]:
        assert batch.tokens.shape[:2] == (len(batch.prepared), len(batch.prepared[0].weights))
        return [float((each.weights >= 0.5).float().mean()) for each in batch.prepared]

    monkeypatch.setitem(AGGREGATORS, "foreground_share", foreground_share)
    asking = MaSC(masc.encoder, extra=["foreground_share"])
    image, mask = painted((160, 160), 1)
    score = asking.score(image, mask, image, mask, "a cat")
    assert score.extra == {"foreground_share": score.n_fg_patches / score.n_patches}
