"""Masked max-cosine, with vectors whose cosines can be read off."""

from __future__ import annotations

import math

import pytest
import torch

from masc_core import similarity
from masc_core.similarity import masked_max_cosine, unit

X, Y = [1.0, 0.0], [0.0, 1.0]
DIAGONAL = [math.sqrt(0.5), math.sqrt(0.5)]


def test_each_reference_patch_counts_with_its_best_match() -> None:
    reference = torch.tensor([X, Y])
    generation = torch.tensor([[X, DIAGONAL]])
    # X finds X (1), Y finds the diagonal (sqrt 1/2).
    assert masked_max_cosine([reference], generation).item() == pytest.approx((1 + 0.5**0.5) / 2)


def test_it_is_not_symmetric() -> None:
    one, both = torch.tensor([X]), torch.tensor([X, Y])
    assert masked_max_cosine([one], both[None]).item() == pytest.approx(1.0)
    assert masked_max_cosine([both], one[None]).item() == pytest.approx(0.5)


def test_every_generation_meets_every_reference() -> None:
    references = [torch.tensor([X]), torch.tensor([Y]), torch.tensor([X, Y])]
    generations = torch.tensor([[X, X], [Y, Y]])
    assert masked_max_cosine(references, generations).tolist() == [[1, 0, 0.5], [0, 1, 0.5]]


def test_an_empty_reference_is_nan_and_leaves_the_others_alone() -> None:
    references = [torch.empty(0, 2), torch.tensor([X])]
    [[empty, full]] = masked_max_cosine(references, torch.tensor([[X]])).tolist()
    assert math.isnan(empty)
    assert full == 1.0
    assert masked_max_cosine(references[:1], torch.tensor([[X]])).isnan().all()


def test_the_bound_on_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    references = [unit(torch.randn(n, 8)) for n in (3, 5)]
    generations = unit(torch.randn(7, 11, 8))
    whole = masked_max_cosine(references, generations)
    monkeypatch.setattr(similarity, "MAX_SIMILARITIES", 2 * 8 * 11)
    torch.testing.assert_close(masked_max_cosine(references, generations), whole)


def test_half_precision_tokens_are_compared_in_float32() -> None:
    assert unit(torch.tensor([[3.0, 4.0]], dtype=torch.bfloat16)).dtype == torch.float32


def test_its_gradient_goes_to_each_patch_and_its_best_match() -> None:
    reference = torch.tensor([X, Y], requires_grad=True)
    generation = torch.tensor([[X, DIAGONAL, [-1.0, 0.0]]], requires_grad=True)
    masked_max_cosine([reference], generation).backward()
    # CP = (X . first + Y . second) / 2; the third patch is nobody's best match.
    torch.testing.assert_close(reference.grad, torch.tensor([X, DIAGONAL]) / 2)
    torch.testing.assert_close(generation.grad, torch.tensor([[X, Y, [0.0, 0.0]]]) / 2)


def test_an_empty_reference_takes_no_gradient_from_the_others() -> None:
    empty, full = torch.empty(0, 2, requires_grad=True), torch.tensor([X], requires_grad=True)
    cp = masked_max_cosine([empty, full], torch.tensor([[X, Y]]))
    cp.nan_to_num(0.0).sum().backward()
    assert full.grad.tolist() == [X]


@pytest.mark.parametrize("bound", [2**26, 20])
def test_gradients_hold_against_finite_differences(
    bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity, "MAX_SIMILARITIES", bound)
    generator = torch.Generator().manual_seed(0)
    first, second, generations = (
        torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
        for shape in ((3, 4), (2, 4), (3, 5, 4))
    )

    def cp(first: torch.Tensor, second: torch.Tensor, generations: torch.Tensor) -> torch.Tensor:
        return masked_max_cosine([first, second], generations)

    assert cp(first, second, generations).dtype == torch.float64
    assert torch.autograd.gradcheck(cp, (first, second, generations))
