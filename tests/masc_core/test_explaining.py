"""Where scores come from: the authors' own scores, and patches that can be counted by hand."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import AutoModel

import masc_core
from masc_core import Explanation, MaSC, explain
from masc_core.pooling import PoolWeights, attention_pool, attention_weights
from tests.pictures import painted

PROMPT = "a photo of a cat on the beach"


@pytest.fixture(scope="module", params=["naflex", "fixed"])
def checkpoint(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(f"{request.param}_checkpoint")


@pytest.fixture(scope="module")
def found(checkpoint: Path) -> tuple[Explanation, MaSC]:
    """Of a generation and two photos of other shapes."""
    masc = MaSC.from_pretrained(str(checkpoint))
    photos = [painted((300, 200), 1), painted((128, 240), 3)]
    images, masks = zip(*photos, strict=True)
    return explain(masc, images, masks, *painted((320, 256), 2), PROMPT, "cat"), masc


def test_the_maps_come_to_the_scores_of_the_authors(
    checkpoint: Path, found: tuple[Explanation, MaSC]
) -> None:
    from masc import MaSC as Oracle

    oracle, (ours, _) = Oracle(str(checkpoint), device="cpu"), found
    generation = painted((320, 256), 2)
    for photo, size, seed in zip(ours.references, [(300, 200), (128, 240)], [1, 3], strict=True):
        theirs = oracle.score(*painted(size, seed), *generation, PROMPT, "cat")
        assert photo.cp == pytest.approx(theirs.cp, abs=1e-5)
        assert photo.similarity[photo.foreground].mean() == pytest.approx(theirs.cp, abs=1e-5)
        assert photo.foreground.sum() == theirs.extras["cp_n_ref_fg"]
        assert ours.pf == pytest.approx(theirs.pf, abs=1e-5)
        assert (~ours.hidden).sum() == theirs.extras["pf_n_bg_pooled"]
    assert ours.cp == pytest.approx(np.mean([photo.cp for photo in ours.references]), abs=1e-6)
    assert ours.text == "a photo of on the beach"


def test_the_pool_of_the_attention_gives_pf(
    checkpoint: Path, found: tuple[Explanation, MaSC]
) -> None:
    ours, masc = found
    visible = ~ours.hidden
    assert ours.attention.sum() == pytest.approx(1, abs=1e-5)
    assert (ours.attention[ours.hidden] == 0).all()
    assert (ours.attention[visible] > 0).all()
    # By torch's own parts of the model's head: values, mixed by the attention, and on.
    head: Any = AutoModel.from_pretrained(checkpoint).vision_model.head.eval()
    pixels, grid = masc.encoder.prepare_image(painted((320, 256), 2)[0])
    tokens = masc.encoder.encode_images(pixels[None], grid)[0]
    with torch.inference_mode():
        n_heads, dim = ours.attention_per_head.shape[0], tokens.shape[1]
        values = nn.functional.linear(
            tokens, head.attention.in_proj_weight[2 * dim :], head.attention.in_proj_bias[2 * dim :]
        )
        by_head = values.reshape(-1, n_heads, dim // n_heads).transpose(0, 1)  # (H, N, E)
        attention = torch.from_numpy(ours.attention_per_head).reshape(n_heads, 1, -1)
        pooled = head.attention.out_proj((attention @ by_head).reshape(dim))
        pooled = pooled + head.mlp(head.layernorm(pooled))
        text = masc.encoder.encode_texts([ours.text])[0]
        pf = nn.functional.cosine_similarity(pooled, text, dim=0)
    assert ours.pf == pytest.approx(float(pf), abs=1e-5)


def test_each_patch_names_the_one_that_met_it_best(found: tuple[Explanation, MaSC]) -> None:
    ours, masc = found
    sides = []
    for picture, _ in (painted((128, 240), 3), painted((320, 256), 2)):
        pixels, grid = masc.encoder.prepare_image(picture)
        sides.append(masc.encoder.encode_images(pixels[None], grid)[0])
    photo = ours.references[1]
    for i in (0, 7, photo.similarity.size - 1):
        match = int(photo.best_match.flat[i])
        cosine = nn.functional.cosine_similarity(sides[0][i], sides[1][match], dim=0)
        assert photo.similarity.flat[i] == pytest.approx(float(cosine), abs=1e-5)
        others = nn.functional.cosine_similarity(sides[0][i][None], sides[1], dim=1)
        assert float(others.max()) == pytest.approx(float(cosine), abs=1e-6)


class TwoByTwo:
    """An encoder whose tokens are the pixels of an image of 2 x 2: red is x, green is y."""

    same = staticmethod(nn.Identity())
    weights = PoolWeights(
        # One head that counts x three times as much as y, one that sees all alike.
        key_query=torch.tensor([[math.log(3), 0.0], [0.0, 0.0]]),
        value_weight=torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]),
        value_bias=torch.zeros(2, 1),
        out_proj=same,
        layernorm=same,
        mlp=torch.zeros_like,
    )
    patch_size, text_length = 1, 64

    def prepare_image(self, image: Image.Image) -> tuple[torch.Tensor, tuple[int, int]]:
        return torch.from_numpy(np.asarray(image)[..., :2] / 255.0).float().reshape(4, 2), (2, 2)

    def encode_images(self, pixels: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        return pixels

    def pool(self, tokens: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        return attention_pool(tokens, hidden, self.weights)

    def attend(self, tokens: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        return attention_weights(tokens, hidden, self.weights)

    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        return torch.tensor([[1.0, 1.0]] * len(texts))

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [1] * len(texts)


RED, GREEN, YELLOW = (255, 0, 0), (0, 255, 0), (255, 255, 0)


def two_by_two(*colours: tuple[int, int, int]) -> Image.Image:
    return Image.fromarray(np.array(colours, np.uint8).reshape(2, 2, 3))


def test_four_patches_by_hand() -> None:
    """Red and yellow are at 45 degrees, red and green at 90."""
    masc = MaSC(TwoByTwo())  # type: ignore[arg-type]
    photo = two_by_two(RED, GREEN, YELLOW, RED)
    image = two_by_two(GREEN, GREEN, RED, YELLOW)
    ours = explain(masc, [photo], [[[1, 0], [0, 0]]], image, [[0, 0], [0, 1]], "a cat", None)
    [met] = ours.references
    assert met.grid == ours.grid == (2, 2)
    np.testing.assert_allclose(met.similarity, [[1, 1], [1, 1]], atol=1e-6)
    assert met.best_match.tolist() == [[2, 0], [3, 2]]
    assert met.foreground.tolist() == [[True, False], [False, False]]
    # Of two greens and a red, yellow being hidden: 1, 1 and 3 of 5 by one head, a third by the
    # other; which pass on x = 3/5 and y = 2/3.
    assert ours.hidden.tolist() == [[False, False], [False, True]]
    expected = [[[1 / 5, 1 / 5], [3 / 5, 0]], [[1 / 3, 1 / 3], [1 / 3, 0]]]
    np.testing.assert_allclose(ours.attention_per_head, expected, atol=1e-6)
    np.testing.assert_allclose(ours.attention, np.mean(expected, axis=0), atol=1e-6)
    x, y = 3 / 5, 2 / 3
    assert ours.pf == pytest.approx((x + y) / math.sqrt(2 * (x * x + y * y)), abs=1e-6)
    without_red = two_by_two(GREEN, GREEN, GREEN, YELLOW)
    [met] = explain(masc, [photo], [[[1, 0], [0, 1]]], without_red, [[0, 0], [0, 1]], "").references
    assert met.cp == pytest.approx(math.sqrt(0.5), abs=1e-6)
    assert met.best_match[0, 0] == 3


def test_without_foreground_or_background_there_is_no_score(
    found: tuple[Explanation, MaSC],
) -> None:
    _, masc = found
    photo, mask = painted((96, 96), 1)
    ours = explain(masc, [photo], [np.zeros_like(mask)], photo, np.full_like(mask, 255), PROMPT)
    assert math.isnan(ours.cp)
    assert math.isnan(ours.pf)
    assert not ours.references[0].foreground.any()
    assert ours.hidden.all()
    assert np.isnan(ours.attention).all()
    assert np.isfinite(ours.references[0].similarity).all()


@pytest.mark.parametrize("n_masks", [0, 2])
def test_photos_and_masks_that_do_not_go_together_are_refused(n_masks: int) -> None:
    photo, mask = painted((32, 32), 1)
    photos = [photo] * min(1, n_masks)
    with pytest.raises(ValueError, match="expected a photo, and one mask a photo"):
        explain(SimpleNamespace(), photos, [mask] * n_masks, photo, mask, "")  # type: ignore[arg-type]


def test_it_is_the_packages_own_name() -> None:
    assert masc_core.explain is explain
