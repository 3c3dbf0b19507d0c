"""Photos and texts through an encoder: the metric's own scores, all with all."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from jobs.demo.training.encoding import (
    Encoded,
    cp_matrix,
    embed_texts,
    encode,
    encode_photos,
)
from jobs.demo.training.photos import take_photos
from jobs.demo.world.subjects import concepts
from masc_core import MaSC

X, Y, DIAGONAL = [1.0, 0.0], [0.0, 1.0], [0.5**0.5, 0.5**0.5]


@pytest.fixture(scope="module")
def masc() -> MaSC:
    return MaSC.from_pretrained("demo", device="cpu")


def test_the_scores_are_those_of_the_metric(masc: MaSC) -> None:
    [first, second, *_] = photos = take_photos(concepts("test")[:2], 2)
    encoded = encode_photos(masc, photos)
    ours = masc.score(first.image, first.mask, second.image, second.mask, "on the moon")
    assert cp_matrix(encoded, encoded)[0, 1] == pytest.approx(ours.cp, abs=1e-5)
    text = masc.embed_texts(["on the moon"])[0]
    pf = float(encoded.background[1] @ (text / text.norm()))
    assert pf == pytest.approx(ours.pf, abs=1e-5)


def test_cp_of_all_with_all_by_hand() -> None:
    """Three photos, of one patch, of two and of two; the last without foreground."""
    tokens = [[X], [X, Y], [DIAGONAL, Y]]
    foregrounds = [[X], [X, Y], []]
    no_pool = torch.zeros(3, 2)
    encoded = Encoded(
        [torch.tensor(each).reshape(-1, 2) for each in foregrounds],
        [torch.tensor(each) for each in tokens],
        no_pool,
        no_pool,
    )
    half = 0.5**0.5
    cp = cp_matrix(encoded, encoded)
    np.testing.assert_allclose(cp[:2], [[1, 1, half], [0.5, 1, (half + 1) / 2]], atol=1e-6)
    assert np.isnan(cp[2]).all()


def test_images_of_several_grids_stay_in_their_order(masc: MaSC) -> None:
    photos = take_photos(concepts("test")[:1], 3)
    assert len({photo.image.size for photo in photos}) == 3
    together = encode_photos(masc, photos)
    for index, photo in enumerate(photos):
        alone = encode(masc, [photo.image], [photo.mask])
        torch.testing.assert_close(together.tokens[index], alone.tokens[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(together.full[index], alone.full[0], atol=1e-5, rtol=0)
        assert len(together.foregrounds[index]) == len(alone.foregrounds[0])


def test_every_embedding_has_length_one(masc: MaSC) -> None:
    encoded = encode_photos(masc, take_photos(concepts("test")[:1], 2))
    texts = embed_texts(masc, ["on the moon", "in a dark cave"])
    for vectors in (*encoded.tokens, *encoded.foregrounds, encoded.full, encoded.background, texts):
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(len(vectors)))


def test_texts_keep_their_order_and_repeat(masc: MaSC) -> None:
    moon, cave, again = embed_texts(masc, ["on the moon", "in a dark cave", "on the moon"])
    assert torch.equal(moon, again)
    assert not torch.equal(moon, cave)
    assert not math.isnan(float(moon.sum()))
