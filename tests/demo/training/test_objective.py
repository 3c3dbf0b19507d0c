"""What is learned: the metric's own terms, with numbers worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from jobs.demo.training import objective
from jobs.demo.training.batches import PairBatch
from jobs.demo.training.model import save_checkpoint
from masc_core.encoder import Encoder
from masc_core.similarity import masked_max_cosine
from tests.pictures import painted


def test_patches_and_tokens_are_those_of_the_metric_s_encoder(
    batch: PairBatch, model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    save_checkpoint(model, tokenizer, tmp_path)
    encoder = Encoder.from_pretrained(str(tmp_path), device="cpu", max_num_patches=100)
    model.load_state_dict({k: v.half().float() for k, v in model.state_dict().items()})
    image, _ = painted((160, 160), 0)
    pixels, grid = encoder.prepare_image(image)
    patches = np.asarray(image).reshape(10, 16, 10, 16, 3).transpose(0, 2, 1, 3, 4)
    ours = torch.from_numpy(patches.reshape(1, 100, 768).copy())
    with torch.no_grad():
        tokens = objective.patch_tokens(model, ours, grid)
        torch.testing.assert_close(tokens, encoder.encode_images(pixels[None], grid), atol=1e-4,
                                   rtol=1e-4)  # fmt: skip
        hidden = torch.arange(100)[None] % 3 == 0
        pooled = normalize(encoder.pool(tokens, hidden[:, None])[:, 0], dim=-1)
        torch.testing.assert_close(objective.pooled(model, tokens, hidden), pooled, atol=1e-4,
                                   rtol=1e-4)  # fmt: skip


def test_the_contrast_of_concepts_is_over_the_metric_s_own_cp() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(6, 7, 5, generator=generator)
    weights = (torch.rand(6, 7, generator=generator) > 0.5).float()
    weights[:, 0] = 1
    unit = normalize(tokens, dim=-1)
    first, second = unit.chunk(2)

    def cp(references: torch.Tensor, own: torch.Tensor, generations: torch.Tensor) -> torch.Tensor:
        kept = [each[weight > 0.5] for each, weight in zip(references, own, strict=True)]
        return masked_max_cosine(kept, generations).T / objective.CP_TEMPERATURE

    right = torch.arange(3)
    both = [cp(first, weights[:3], second), cp(second, weights[3:], first)]
    losses = [
        torch.nn.functional.cross_entropy(logits, right)
        for each in both
        for logits in (each, each.T)
    ]
    for each in both:
        cross = each[~torch.eye(3, dtype=torch.bool)].exp().sum() / 3
        right_pairs = each.diagonal().exp()
        losses.append(-(right_pairs / (right_pairs + cross)).log().mean())
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(objective.concept_contrast(tokens, weights), expected)


def test_a_caption_fits_every_photo_that_it_is_true_of() -> None:
    """Of concepts A and B, two photos each; the captions say "in scene 0", and "B"."""
    batch = PairBatch(
        patches=torch.zeros(0),
        grid=(1, 1),
        weights=torch.zeros(0),
        scenes=torch.tensor([0, 0, 1, 2]),
        captions=["in scene 0", "B"],
        names_subject=torch.tensor([False, True]),
        names_scene=torch.tensor([True, False]),
    )
    perfect = 50 * torch.tensor(
        [[1.0, 0], [1, 1], [0, 0], [0, 1]]
    )  # A in 0, B in 0, A in 1, B in 2
    loss = objective.image_text_contrast(perfect, batch)
    # Where k captions fit alike, the least loss is log k; and so for the photos of a caption.
    least_of_photos = (0 + np.log(2) + 0) / 3  # nothing fits the third
    least_of_captions = (np.log(2) + np.log(2)) / 2
    assert float(loss) == pytest.approx((least_of_photos + least_of_captions) / 2, abs=1e-4)


def test_the_contrast_of_concepts_by_hand() -> None:
    """Two concepts whose photos find one another at cosine 1, and the other's at 0."""
    x, y = [1.0, 0.0], [0.0, 1.0]
    tokens = torch.tensor([[x, x], [y, y], [x, x], [y, y]])
    loss = objective.concept_contrast(tokens, torch.tensor([[1.0, 0.0]] * 4))
    # Rows and columns: log(1 + e^-t); against all cross pairs: two of e^0, halved, so the same.
    assert float(loss) == pytest.approx(math.log1p(math.exp(-1 / objective.CP_TEMPERATURE)))
    alike = objective.concept_contrast(torch.tensor([[x, x]] * 4), torch.ones(4, 2))
    assert float(alike) == pytest.approx(math.log(2))


def test_a_photo_without_foreground_patches_breaks_no_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(4, 3, 5, generator=generator, requires_grad=True)
    weights = torch.ones(4, 3)
    weights[0] = 0.5
    loss = objective.concept_contrast(tokens, weights)
    loss.backward()
    assert loss.isfinite()
    assert tokens.grad is not None
    assert tokens.grad.isfinite().all()


def test_the_scene_is_told_among_all_scenes() -> None:
    """Cosines of 1 and 0 with two scenes' words, at the temperature of the contrast."""
    words = torch.eye(2)
    right = objective.scene_contrast(torch.eye(2), words, torch.tensor([0, 1]))
    wrong = objective.scene_contrast(torch.eye(2), words, torch.tensor([1, 0]))
    step = 1 / objective.SCENE_TEMPERATURE
    assert float(right) == pytest.approx(math.log1p(math.exp(-step)), abs=1e-6)
    assert float(wrong) == pytest.approx(step + math.log1p(math.exp(-step)), rel=1e-6)


def test_nothing_hidden_is_the_default_of_the_pool(model: Any) -> None:
    tokens = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(0))
    whole = objective.pooled(model, tokens)
    assert torch.equal(whole, objective.pooled(model, tokens, torch.zeros(2, 6, dtype=torch.bool)))
    torch.testing.assert_close(whole, normalize(model.vision_model.head(tokens), dim=-1))
    torch.testing.assert_close(whole.norm(dim=-1), torch.ones(2))
