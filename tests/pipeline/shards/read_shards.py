"""`python -m tests.pipeline.shards.read_shards SHARD ...`: reads shards, and measures its memory.

A process of its own, whose peak of memory Linux tells: Python knows nothing of what decoders take.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from jobs.pipeline.errors import DamagedShard, SampleError
from jobs.pipeline.shards.fields import GenerationFields, read_generation
from jobs.pipeline.shards.images import decode_image, decode_mask
from jobs.pipeline.shards.members import RawSample
from jobs.pipeline.shards.reading import read_samples

MAX_IMAGE_PIXELS = 1_000_000


def read(path: str) -> dict[str, str]:
    """What became of each key, "ok" or its error, and of the shard as a whole under ""."""
    outcome = {}
    try:
        with Path(path).open("rb") as stream:
            for raw in read_samples(stream, MAX_IMAGE_PIXELS):
                outcome[raw.key] = decode(raw)
    except DamagedShard as damage:
        outcome[""] = str(damage)
    return outcome


def decode(raw: RawSample) -> str:
    """Do with a sample what a worker does before its encoder."""
    try:
        read_generation(raw, GenerationFields())
        decode_mask(raw, MAX_IMAGE_PIXELS)
        decode_image(raw, MAX_IMAGE_PIXELS)
    except SampleError as error:
        return str(error)
    return "ok"


def memory(line: str) -> int:
    """Bytes of this process, by the `line` of Linux's account of it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{line}:")[2].split()[0]) * 1024


def main(first: str, *others: str) -> None:
    """The first is read to load what loads lazily; of each other one a line of JSON is printed."""
    read(first)
    for path in others:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on
        before, began = memory("VmRSS"), time.monotonic()
        result: dict[str, Any] = {"outcome": read(path)}
        result["grown"] = memory("VmHWM") - before
        result["seconds"] = time.monotonic() - began
        sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
