"""What is measured on: an encoder of base size with random weights, and rendered images."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from jobs.demo.world.checkpoint import write_random_checkpoint
from jobs.demo.world.render import random_pose, render
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import SUBJECTS

N_SCENES = 2
"""So few that prompts repeat, as they do in a sweep over models and seeds."""

BASE = {"hidden_size": 768, "layers": 12, "heads": 12}
"""SigLIP2 base; its NaFlex checkpoints run at 1024 patches like the large ones."""


@dataclass(frozen=True)
class Item:
    """An image with its mask, and what a shard says of it."""

    key: str
    image: Image.Image
    mask: np.ndarray
    fields: dict[str, str]


def base_checkpoint(folder: Path) -> Path:
    """A NaFlex checkpoint of base size. masc-metric tells NaFlex by the name."""
    path = folder / "base-naflex"
    if not path.exists():
        write_random_checkpoint(path, naflex=True, **BASE)
    return path


def small_checkpoint(folder: Path) -> Path:
    """A NaFlex checkpoint that costs next to nothing."""
    path = folder / "small-naflex"
    if not path.exists():
        write_random_checkpoint(path, naflex=True, hidden_size=32, layers=1, heads=2)
    return path


def rendered(n: int, sizes: Sequence[tuple[int, int]], n_concepts: int, role: str) -> list[Item]:
    """Rendered images, (width, height) and concepts in turn; prompts repeat as in a sweep."""
    items = []
    for i in range(n):
        subject = SUBJECTS[i % n_concepts]
        scene = SCENES[(i // n_concepts) % N_SCENES]
        rng = np.random.default_rng([i, len(role)])
        size = sizes[i % len(sizes)]
        image, mask = render(subject, scene, random_pose(rng), size)
        fields = {"concept": subject.id, "subject": subject.noun}
        if role == "generation":
            fields |= {
                "model": f"m{i // n_concepts % 3}",
                "prompt": f"a photo of a {subject.noun} {scene.phrase}",
            }
        items.append(Item(f"{role}/{i:06d}", image, np.asarray(mask), fields))
    return items


def write_shards(
    folder: Path, name: str, items: Sequence[Item], per_shard: int, image_format: str = "PNG"
) -> str:
    """Write shards of `items`, and return the glob that names them.

    PNG keeps what it is given, so that whoever has the items scores the same images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(items), per_shard)):
        with tarfile.open(folder / f"{name}-{number:06d}.tar", "w") as tar:
            for item in items[start : start + per_shard]:
                for suffix, content in _members(item, image_format):
                    member = tarfile.TarInfo(f"{item.key}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return f"{folder}/{name}-*.tar"


def _members(item: Item, image_format: str) -> Iterator[tuple[str, bytes]]:
    yield "jpg" if image_format == "JPEG" else "png", encoded(item.image, image_format)
    yield "mask.png", encoded(Image.fromarray(item.mask), "PNG")
    yield "json", json.dumps(item.fields).encode()


def encoded(image: Image.Image, image_format: str) -> bytes:
    """An image as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, image_format, quality=92)
    return file.getvalue()
