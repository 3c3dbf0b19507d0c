"""Attention in bfloat16 on a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from masc_core import Encoder, cpu_attention
from tests.pictures import painted


@pytest.mark.parametrize("n_heads", [1, 4, 5])
def test_it_equals_torchs_attention(n_heads: int) -> None:
    query, key, value = torch.randn(3, 2, n_heads, 37, 16, generator=torch.manual_seed(0)).double()
    ours, weights = cpu_attention.attend(None, query, key, value, None, scaling=0.2)
    theirs = scaled_dot_product_attention(query, key, value, scale=0.2)
    torch.testing.assert_close(ours, theirs.transpose(1, 2))
    assert weights is None


def test_the_tower_uses_it_in_bfloat16_only(
    naflex_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    attend = cpu_attention.attend

    def counted(*args: object, **options: object) -> object:
        calls.append(1)
        return attend(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(cpu_attention, "attend", counted)
    for dtype, expected in (("float32", 0), ("bfloat16", 3)):
        encoder = Encoder.from_pretrained(
            str(naflex_checkpoint),
            device="cpu",
            dtype=dtype,  # type: ignore[arg-type]
        )
        pixels, grid = encoder.prepare_image(painted((64, 64), 1)[0])
        encoder.encode_images(pixels[None], grid)
        assert len(calls) == expected  # the tower has three layers
