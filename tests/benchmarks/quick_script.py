"""What an engineer writes in an afternoon: Ray Data, masc-metric in an actor, Parquet.

`python -m tests.benchmarks.quick_script SAMPLES REFERENCES OUT CHECKPOINT`; the first two are
directories of shards.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import ray
import torch
from PIL import Image

from masc_core.torchvision_compat import make_torchvision_importable


class Scorer:
    """masc-metric on a batch of rows."""

    def __init__(self, checkpoint: str, references: Any) -> None:
        make_torchvision_importable()
        from masc import MaSC

        # Ray would leave it the core less that reading needs.
        torch.set_num_threads(os.cpu_count() or 1)
        self._masc = MaSC(checkpoint, device="cpu")
        self._references = {row["json"]["concept"]: row for row in ray.get(references)}

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """CP and PF of each row."""
        scores = []
        for image, mask, fields in zip(batch["png"], batch["mask.png"], batch["json"], strict=True):
            reference = self._references[fields["concept"]]
            score = self._masc.score(
                *(Image.fromarray(reference["png"]), reference["mask.png"]),
                *(Image.fromarray(image), mask),
                *(fields["prompt"], fields["subject"]),
            )
            scores.append((score.cp, score.pf))
        cp, pf = zip(*scores, strict=True)
        return {"key": batch["__key__"], "cp": list(cp), "pf": list(pf)}


def _main(samples: str, references: str, out: str, checkpoint: str) -> None:
    address = os.environ.get("RAY_ADDRESS", "local")
    ray.init(address, include_dashboard=False, logging_level="WARNING", log_to_driver=False)
    photos = ray.put(ray.data.read_webdataset(references, file_extensions=["tar"]).take_all())
    ray.data.read_webdataset(samples, file_extensions=["tar"]).map_batches(
        Scorer,
        fn_constructor_args=(checkpoint, photos),
        batch_size=4,
        concurrency=1,
        num_cpus=ray.cluster_resources()["CPU"] - 1,
    ).write_parquet(out)


if __name__ == "__main__":
    _main(*sys.argv[1:])
