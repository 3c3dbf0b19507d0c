"""A few samples for recipes that run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.shards import generation, reference, write_tar

REFERENCES = "references-0.tar"


def write_samples(folder: Path, n_shards: int, inside: str = ".") -> Counter[str]:
    """Two generations a shard, and a reference; what keys a run has of them, and how often.

    Args:
        inside: where in the folder the generations lie.
    """
    write_tar(folder / REFERENCES, reference("cat/0", 1))
    keys: Counter[str] = Counter()
    for shard in range(n_shards):
        of_shard = {f"{shard}/{i}": 2 * shard + i for i in range(2)}
        members = [each for key, picture in of_shard.items() for each in generation(key, picture)]
        write_tar(folder / inside / f"generations-{shard:03d}.tar", members)
        keys.update(of_shard.keys())
    return keys
