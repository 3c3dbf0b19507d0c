"""What a gradient costs beside the scores themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from masc_core import MaSC
from masc_core.defaults import Dtype
from tests.benchmarks.figures import Figure, alternate, at_most, between, median_ratio
from tests.benchmarks.workload import rendered

SIZE = (512, 512)


def of_the_reward(
    checkpoint: Path, rounds: int, n: int, dtypes: tuple[Dtype, ...] = ("float32", "bfloat16")
) -> list[Figure]:
    """Seconds of values and gradients of `n` images over those of the values alone."""
    figures = []
    for dtype in dtypes:
        masc = MaSC.from_pretrained(str(checkpoint), device="cpu", dtype=dtype)
        forward, backward, frugal = (
            _rewarding(masc, n, needs_gradient, checkpointing)
            for needs_gradient, checkpointing in ((False, False), (True, False), (True, True))
        )
        pairs = between(alternate(rounds, forward, backward, forward))
        ratio, detail = median_ratio([(gradient, values) for values, gradient in pairs])
        name = f"reward and gradient / reward alone, {dtype}"
        figures.append(at_most(name, ratio, "x", 3.2, detail))
        slower, detail = median_ratio(alternate(rounds, frugal, backward))
        name = f"  with checkpointing / without, {dtype}"
        figures.append(Figure(name, slower, "x", detail=detail))
    return figures


def _rewarding(
    masc: MaSC, n: int, needs_gradient: bool, checkpointing: bool
) -> Callable[[], float]:
    """Seconds of a batch against one reference each; what is encoded once is left out."""
    [photo] = rendered(1, [SIZE], 1, "reference")
    references = masc.encode_references([photo.image], [photo.mask])
    items = rendered(n, [SIZE], 1, "generation")
    pixels = np.stack([np.asarray(item.image) for item in items])
    images = torch.from_numpy(pixels / 255).float().permute(0, 3, 1, 2)
    asked = (
        [item.mask for item in items],
        [item.fields["prompt"] for item in items],
        [references] * n,
        ["x"] * n,
    )

    def seconds() -> float:
        began = time.monotonic()
        own = images.clone().requires_grad_(needs_gradient)
        with torch.set_grad_enabled(needs_gradient):
            cp, pf = masc.reward(own, *asked, checkpointing=checkpointing)
            if needs_gradient:
                (cp + pf).sum().backward()
        return time.monotonic() - began

    seconds()  # its texts are encoded by then
    return seconds
