"""Further columns from the same forward pass: one function each, known by the name of its column.

What needs no other network than the encoder lives here: it sees the patch tokens that CP and PF
were made from, and costs no forward pass of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from masc_core.encoder import Encoder
    from masc_core.records import Prepared


@dataclass(frozen=True)
class EncodedBatch:
    """Generations of one patch grid after their forward pass."""

    encoder: Encoder
    tokens: torch.Tensor
    """(B, N, D) patch tokens, in the encoder's dtype, on its device."""
    prepared: Sequence[Prepared]
    """The B generations."""
    references: Sequence[Sequence[torch.Tensor]]
    """Of what each is scored against, the foreground patch tokens, float32 (R, D) of unit
    length."""


Aggregator = Callable[[EncodedBatch], list[float]]
"""One score a generation of the batch; NaN where it is undefined."""

AGGREGATORS: dict[str, Aggregator] = {}
"""By the name that `metric.extra` and the column of `scores/` use."""
