"""The attention pool with hidden patches, against torch's own attention in the model's head."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from transformers import AutoModel

from masc_core.pooling import AttentionPool, PoolWeights, attention_pool, pool_weights


@pytest.fixture(scope="module", params=["naflex", "fixed"])
def head(request: pytest.FixtureRequest) -> torch.nn.Module:
    path = request.getfixturevalue(f"{request.param}_checkpoint")
    head = AutoModel.from_pretrained(path).vision_model.head.eval()
    with torch.no_grad():  # biases are made zero, and would hide a mistake with them
        for name, parameter in head.named_parameters():
            if "bias" in name:
                parameter.normal_()
    return head


@torch.inference_mode()
def test_with_nothing_hidden_it_is_the_models_own_head(head: torch.nn.Module) -> None:
    tokens = torch.randn(3, 20, head.probe.shape[-1])
    hidden = torch.zeros(3, 1, 20, dtype=torch.bool)
    torch.testing.assert_close(AttentionPool(head)(tokens, hidden)[:, 0], head(tokens))


@torch.inference_mode()
def test_hidden_patches_are_as_if_they_were_not_there(head: torch.nn.Module) -> None:
    tokens = torch.randn(1, 20, head.probe.shape[-1])
    hidden = torch.rand(1, 4, 20) < 0.5
    pooled = AttentionPool(head)(tokens, hidden)
    for mask in range(4):
        torch.testing.assert_close(pooled[:, mask], head(tokens[:, ~hidden[0, mask]]))


@torch.inference_mode()
def test_hiding_every_patch_is_nan_for_that_mask_alone(head: torch.nn.Module) -> None:
    tokens = torch.randn(1, 5, head.probe.shape[-1])
    hidden = torch.tensor([[[True] * 5, [False] * 5]])
    pooled = AttentionPool(head)(tokens, hidden)
    assert pooled[0, 0].isnan().all()
    assert pooled[0, 1].isfinite().all()


def test_the_head_keeps_its_precision_when_its_model_loses_it(head: torch.nn.Module) -> None:
    pool = AttentionPool(head)
    before = pool.mlp.fc1.weight.clone()
    head.to(torch.bfloat16)
    assert pool.mlp.fc1.weight.dtype == torch.float32
    assert torch.equal(pool.mlp.fc1.weight, before)
    head.to(torch.float32)


def two_heads() -> PoolWeights:
    """Of tokens (x, y): one head looks for x and passes x on, the other sees all alike and passes y
    on; then 10 is added to both, and nothing by the MLP."""
    return PoolWeights(
        key_query=torch.tensor([[math.log(3), 0.0], [0.0, 0.0]]),
        value_weight=torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]),
        value_bias=torch.zeros(2, 1),
        out_proj=lambda values: values + 10,
        layernorm=torch.nn.Identity(),
        mlp=torch.zeros_like,
    )


def test_each_head_weighs_patches_by_its_own_query() -> None:
    tokens = torch.tensor([[[1.0, 0.0], [0.0, 8.0], [1.0, 1.0]]])
    hidden = torch.tensor([[[False, False, True], [False, True, False]]])
    # Of the first two patches the first head takes 3/4 and 1/4, the second a half each; of the
    # first and the third both take halves, for their x is the same.
    expected = torch.tensor([[[10.75, 14.0], [11.0, 10.5]]])
    torch.testing.assert_close(attention_pool(tokens, hidden, two_heads()), expected)


def test_its_gradient_is_that_of_the_formula() -> None:
    tokens = torch.tensor([[[1.0, 0.0], [0.0, 8.0], [5.0, 5.0]]], requires_grad=True)
    hidden = torch.tensor([[[False, False, True]]])
    attention_pool(tokens, hidden, two_heads()).sum().backward()
    # x of patch n: its weight a, and by the softmax a * (x_n - mean) * log 3; y: a half.
    log3 = math.log(3)
    expected = [[0.75 + 0.75 * 0.25 * log3, 0.5], [0.25 - 0.25 * 0.75 * log3, 0.5], [0.0, 0.0]]
    torch.testing.assert_close(tokens.grad, torch.tensor([expected]))


def test_gradients_hold_against_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 5, 6), (3, 6), (3, 2, 6), (3, 2), (6, 6))
    inputs = [
        torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
        for shape in shapes
    ]
    hidden = torch.rand(2, 2, 5, generator=generator) < 0.4
    hidden[..., 0] = False

    def pool(
        tokens: torch.Tensor,
        key_query: torch.Tensor,
        value_weight: torch.Tensor,
        value_bias: torch.Tensor,
        mixing: torch.Tensor,
    ) -> torch.Tensor:
        weights = PoolWeights(
            key_query, value_weight, value_bias, lambda x: x @ mixing, torch.tanh, torch.nn.GELU()
        )
        return attention_pool(tokens, hidden, weights)

    assert torch.autograd.gradcheck(pool, inputs)


def test_gradients_reach_the_head_as_in_the_model_itself(head: torch.nn.Module) -> None:
    theirs, ours = (copy.deepcopy(head).double() for _ in range(2))
    tokens = torch.randn(3, 9, head.probe.shape[-1], dtype=torch.float64)
    direction = torch.randn(3, head.probe.shape[-1], dtype=torch.float64)
    nothing_hidden = torch.zeros(3, 1, 9, dtype=torch.bool)
    (theirs(tokens) * direction).sum().backward()
    (attention_pool(tokens, nothing_hidden, pool_weights(ours))[:, 0] * direction).sum().backward()
    for (name, parameter), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, msg=name)


def test_the_metric_s_pool_asks_for_no_gradients(head: torch.nn.Module) -> None:
    pool = AttentionPool(head)
    assert not any(weight.requires_grad for weight in (*pool.buffers(), *pool.parameters()))
    assert all(parameter.requires_grad for parameter in head.parameters())
