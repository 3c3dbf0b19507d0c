"""How many operations an image costs: the arithmetic behind `launch/SCALING.md`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count


def flops_an_image(width: int, layers: int, mlp: int, patches: int) -> float:
    """Operations of a vision tower's matrix products for one image; an addition counts as one.

    A patch meets four width x width products (query, key, value, output) and two width x mlp ones
    in every layer, and every other patch twice (logits, values).
    """
    products = 2 * (4 * width * width + 2 * width * mlp)
    attention = 4 * patches * width
    return float(layers * patches * (products + attention))


def flops_of_vit(
    width: int, layers: int, mlp: int, patch_size: int, n_patches: int, n_prefix_tokens: int
) -> float:
    """`flops_an_image` of a ViT with further tokens before its patches, and of what makes patches
    tokens: a product with each patch's 3 * patch_size^2 values."""
    embedding = 2 * 3 * patch_size**2 * width * n_patches
    return flops_an_image(width, layers, mlp, n_patches + n_prefix_tokens) + embedding


BASE = flops_an_image(width=768, layers=12, mlp=3072, patches=1024)
SO400M = flops_an_image(width=1152, layers=27, mlp=4304, patches=1024)


def counted_flops(work: Callable[[], Any]) -> int:
    """Operations of the matrix products, convolutions and attention that `work` asks torch for."""
    # Torch counts what its kernels for GPUs do; this one does the same on a CPU.
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    of_cpu = {kernel: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v)}
    with FlopCounterMode(display=False, custom_mapping=of_cpu) as counter:
        work()
    return counter.get_total_flops()
