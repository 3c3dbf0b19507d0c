"""The attention pool with hidden patches, against torch's own attention in the model's head."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModel

from masc_core.pooling import AttentionPool


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
