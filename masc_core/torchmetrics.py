"""MaSC as a `torchmetrics.Metric`: counts that add up over batches, and over ranks.

`pip install 'masc-eval[torchmetrics]'`. `jobs.evaluate` writes a row a sample, and intervals over
concepts; this is two means and how many samples they rest on, for a training loop's log.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from masc_core.metric import MaSC
from masc_core.records import Generation
from masc_core.torchvision_compat import make_torchvision_importable

make_torchvision_importable()  # torchmetrics imports it

try:
    from torchmetrics import Metric
except ImportError as error:
    raise ImportError(
        "MaSCMetric needs torchmetrics: pip install 'masc-eval[torchmetrics]'"
    ) from error

SCORES = ("cp", "pf")


class MaSCMetric(Metric):
    """Mean CP and PF of all generations seen, on all ranks.

    Each rank updates with its own; `compute` adds up what they saw. A NaN (a mask that is empty or
    covers everything) is left out of its mean, and counted.

    Example:
        >>> from masc_core import Generation, MaSC
        >>> masc = MaSC.from_pretrained("demo", device="cpu")
        >>> cat = masc.encode_references([photo], [photo_mask])
        >>> metric = MaSCMetric(masc)
        >>> metric.update([Generation(image, mask, "a cat on a beach", cat, subject="cat")])
        >>> found = metric.compute()
        >>> sorted(found)
        ['cp', 'cp_x_pf', 'n', 'n_cp_nan', 'n_pf_nan', 'pf']
        >>> int(found["n"]), bool(0.5 < found["cp"] < 1)
        (1, True)
    """

    is_differentiable = False  # `MaSC.reward` is
    higher_is_better = True
    full_state_update = False

    n: torch.Tensor
    cp_sum: torch.Tensor
    cp_values: torch.Tensor
    pf_sum: torch.Tensor
    pf_values: torch.Tensor

    def __init__(self, masc: MaSC, **options: Any) -> None:
        """Score by `masc`; `options` are those of every `torchmetrics.Metric`."""
        super().__init__(**options)
        self._masc = masc
        for name in SCORES:
            # float64, so that the order of ranks and batches does not show.
            self.add_state(f"{name}_sum", torch.zeros((), dtype=torch.float64), "sum")
            self.add_state(f"{name}_values", torch.zeros((), dtype=torch.int64), "sum")
        self.add_state("n", torch.zeros((), dtype=torch.int64), "sum")

    def update(self, generations: Sequence[Generation]) -> None:
        """Score a batch of any mix, as `MaSC.score_batch` does, and with its errors."""
        scores = self._masc.score_batch(generations)
        self.n += len(scores)
        for name in SCORES:
            values = [v for score in scores if not math.isnan(v := getattr(score, name))]
            setattr(self, f"{name}_sum", getattr(self, f"{name}_sum") + math.fsum(values))
            setattr(self, f"{name}_values", getattr(self, f"{name}_values") + len(values))

    def compute(self) -> dict[str, torch.Tensor]:
        """Scalars: `cp` and `pf`, float64 means, NaN of no values; `cp_x_pf`, their product, which
        ranks models; `n`, generations seen; `n_cp_nan` and `n_pf_nan`, those without a value."""
        found = {
            name: getattr(self, f"{name}_sum") / getattr(self, f"{name}_values") for name in SCORES
        }
        lacking = {f"n_{name}_nan": self.n - getattr(self, f"{name}_values") for name in SCORES}
        return {**found, "cp_x_pf": found["cp"] * found["pf"], "n": self.n, **lacking}
