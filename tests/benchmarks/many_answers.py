"""What further masks and columns of the same forward cost beside CP and PF."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

from masc_core import Generation, MaSC
from masc_core.columns import POOLS, TEXTS
from tests.benchmarks.figures import Figure, alternate, at_most, median_ratio
from tests.benchmarks.workload import rendered

SIZE = (512, 512)
MASKS = ("given", "dilate:5", "dilate:10", "drop:0.1", "drop:0.2")
COLUMNS = (
    *(f"pf.{pool}.{text}" for pool, text in product(POOLS, TEXTS)),
    *("cp.global_maxcos", "cp.weighted_maxcos", "cp.weighted_maxcos:4", "cp.recall_fg", "cp.leak"),
    *("siglip2_global", "siglip2_t"),
)


def of_one_forward(checkpoint: Path, rounds: int, n: int) -> list[Figure]:
    """Seconds a generation with five masks, and with every column, over CP and PF alone."""
    plain = MaSC.from_pretrained(str(checkpoint), device="cpu")
    masked = MaSC(plain.encoder, masks=MASKS)
    full = MaSC(plain.encoder, extra=COLUMNS)
    sides = [_scoring(masc, n) for masc in (plain, masked, full, plain)]
    measured = alternate(rounds, *sides)
    alone = [(before + after) / 2 for before, _, _, after in measured]
    figures = []
    for number, name, most in (
        (1, "five masks / one", 1.05),
        (2, f"{len(COLUMNS)} columns more / CP and PF alone", 1.10),
    ):
        pairs = [(row[number], base) for row, base in zip(measured, alone, strict=True)]
        ratio, detail = median_ratio(pairs)
        figures.append(at_most(name, ratio, "x", most, detail))
    return figures


def _scoring(masc: MaSC, n: int) -> Callable[[], float]:
    """Seconds a generation, one reference each; what is encoded once a run is left out."""
    [photo] = rendered(1, [SIZE], 1, "reference")
    references = masc.encode_references([photo.image], [photo.mask])
    generations = [
        Generation(item.image, item.mask, item.fields["prompt"], references, "x", item.key)
        for item in rendered(n, [SIZE], 1, "generation")
    ]
    masc.score_batch(generations[:1])  # its texts are encoded by then

    def seconds() -> float:
        began = time.monotonic()
        for generation in generations:
            masc.score_batch([generation])
        return (time.monotonic() - began) / n

    return seconds
