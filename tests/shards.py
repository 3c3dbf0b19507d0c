"""Shards for tests: members written one by one, so that they can be wrong in any way."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.pictures import painted

Member = tuple[str, bytes]


def write_tar(path: Path, members: Iterable[Member]) -> Path:
    """A tar of these members, in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def png(image: Image.Image | np.ndarray) -> bytes:
    """An image as PNG."""
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, "PNG")
    return file.getvalue()


def sample(key: str, picture: int, size: tuple[int, int] = (96, 96), **fields: Any) -> list[Member]:
    """The members of a good sample; `fields` go into its JSON."""
    image, mask = painted(size, picture)
    return [
        (f"{key}.json", json.dumps(fields).encode()),
        (f"{key}.mask.png", png(mask)),
        (f"{key}.png", png(image)),
    ]


def generation(
    key: str, picture: int, size: tuple[int, int] = (96, 96), **fields: Any
) -> list[Member]:
    """A good generation of the concept `cat`."""
    return sample(
        key,
        picture,
        size,
        **{
            "model": "alpha",
            "concept": "cat",
            "prompt": "a photo of a cat on a beach",
            "subject": "cat",
            **fields,
        },
    )


def reference(key: str, picture: int, **fields: Any) -> list[Member]:
    """A good reference of the concept `cat`."""
    return sample(key, picture, **{"concept": "cat", **fields})
