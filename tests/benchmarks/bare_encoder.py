"""The vision tower alone, on ready tensors, in a process with a worker's environment.

`python -m tests.benchmarks.bare_encoder CHECKPOINT WIDTH HEIGHT DTYPE` reads numbers of passes
line by line, and answers each with the seconds that they took.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from jobs.pipeline.cluster.allocator import ENVIRONMENT
from masc_core.defaults import Dtype


class BareEncoder:
    """Such a process, ready to be asked."""

    def __init__(self, checkpoint: Path, size: tuple[int, int], dtype: Dtype = "float32") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(checkpoint), *map(str, size), dtype],
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, n: int) -> float:
        """Seconds that a forward pass takes, over `n` of them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{n}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline()) / n

    def __enter__(self) -> BareEncoder:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def _main(checkpoint: str, width: str, height: str, dtype: Dtype) -> None:
    from masc_core import Encoder
    from tests.benchmarks.workload import rendered

    encoder = Encoder.from_pretrained(checkpoint, device="cpu", dtype=dtype)
    image = rendered(1, [(int(width), int(height))], 1, "generation")[0].image
    pixels, grid = encoder.prepare_image(image)
    encoder.encode_images(pixels[None], grid)
    for line in sys.stdin:
        began = time.monotonic()
        for _ in range(int(line)):
            encoder.encode_images(pixels[None], grid)
        sys.stdout.write(f"{time.monotonic() - began}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])  # type: ignore[arg-type]
