"""How much of the machine's matrix rate the bare encoder reaches: `launch/SCALING.md` needs it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

import torch

from masc_core.defaults import Dtype
from tests.benchmarks.arithmetic import BASE
from tests.benchmarks.bare_encoder import BareEncoder
from tests.benchmarks.figures import Figure, alternate
from tests.benchmarks.scoring import SIZE

SIDE = 4096
DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16")


def seconds_of_a_product(dtype: Dtype, side: int) -> float:
    """Seconds of a product of two square matrices."""
    a = torch.randn(side, side).to(getattr(torch, dtype))
    a @ a
    began = time.monotonic()
    a @ a
    return time.monotonic() - began


def of_the_encoder(
    checkpoint: Path, rounds: int, side: int = SIDE, dtypes: Sequence[Dtype] = DTYPES
) -> list[Figure]:
    """The encoder's rate over that of a large matrix product, in turn in one run."""
    figures = []
    for dtype in dtypes:
        with BareEncoder(checkpoint, SIZE, dtype) as encoder:
            seconds = alternate(
                rounds,
                partial(seconds_of_a_product, dtype, side),
                partial(encoder.seconds, 4),
            )
        rates = [(2 * side**3 / product, BASE / image) for product, image in seconds]
        detail = (
            f"{median(image for _, image in rates) / 1e9:.0f} of "
            f"{median(product for product, _ in rates) / 1e9:.0f} GFLOP/s"
        )
        share = median(image / product for product, image in rates)
        name = f"bare encoder / matrix product, {dtype}"
        figures.append(Figure(name, share, "", detail=detail))
    return figures
