"""The comparators at the sizes that are published, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from masc_core.comparators import ComparatorSettings, make_comparators
from masc_core.encoder import best_device
from tests.benchmarks.arithmetic import flops_of_vit
from tests.masc_core.comparators import checkpoints

Writer = Callable[..., None]
"""Writes a random checkpoint: `(path, tower=...)`."""


@dataclass(frozen=True)
class Tower:
    """A ViT."""

    width: int
    layers: int
    heads: int
    mlp: int
    patch_size: int

    @property
    def config(self) -> dict[str, Any]:
        """As configuration classes of transformers call it."""
        return {
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.mlp,
        }


@dataclass(frozen=True)
class System:
    """A comparator at the size that is published."""

    names: tuple[str, ...]
    """Of its columns; one forward pass gives all."""
    tower: Tower
    side: int
    """Pixels of the square that its network sees."""
    n_prefix_tokens: int
    """Tokens that are no patches."""
    write: Writer
    n_towers: int = 1

    def of_base_size(self) -> System:
        """The same with a tower of base size."""
        patch_size = max(16, self.tower.patch_size)
        return replace(self, tower=replace(BASE_16, patch_size=patch_size))

    def loaded(self, folder: Path) -> Any:
        """Its metric with random weights, on the device; their checkpoint is written once."""
        path = self.checkpoint(folder)
        metric: Any = make_comparators(self.names, ComparatorSettings(name_or_path=str(path)))
        metric.load()
        return metric

    def checkpoint(self, folder: Path) -> Path:
        """A directory of random weights; written where it is not there."""
        tower = self.tower
        path = folder / "comparators" / f"{self.names[0]}-{tower.width}-{tower.layers}"
        if not path.exists():
            # Random numbers for a billion weights take a CPU a minute.
            with best_device():
                self.write(path, tower=tower.config, patch_size=tower.patch_size)
        return path

    @property
    def flops(self) -> float:
        """Operations of one image, by arithmetic."""
        tower, n_patches = self.tower, (self.side // self.tower.patch_size) ** 2
        return self.n_towers * flops_of_vit(
            *(tower.width, tower.layers, tower.mlp, tower.patch_size, n_patches),
            self.n_prefix_tokens,
        )


BASE_16, BASE_32 = (Tower(768, 12, 12, 3072, patch) for patch in (16, 32))
SMALL_8 = Tower(384, 12, 6, 1536, 8)
LARGE_16 = Tower(1024, 24, 16, 4096, 16)
SO400M_16 = Tower(1152, 27, 16, 4304, 16)
AGGREGATORS = ("masked_maxcos", "global_maxcos", "weighted_maxcos", "recall_fg")


def patch_columns(backbone: str) -> tuple[str, ...]:
    """The columns that aggregate a backbone's patch tokens."""
    return tuple(f"cp.{each}@{backbone}" for each in AGGREGATORS)


SYSTEMS: tuple[System, ...] = (
    System(("clip_i", "clip_t"), BASE_32, 224, 1, partial(checkpoints.write_clip, image_size=224)),
    System(("dino_i",), SMALL_8, 224, 1, checkpoints.write_dino),
    System(("dinov3",), LARGE_16, 224, 5, checkpoints.write_dinov3),
    System(
        *(("am_radio",), SO400M_16, 512, 10),
        partial(checkpoints.write_radio, max_img_size=2048),
    ),
    System(patch_columns("dinov3_b"), BASE_16, 512, 5, checkpoints.write_dinov3),
    System(
        *(patch_columns("siglip2_b"), BASE_16, 512, 0),
        partial(checkpoints.write_siglip, image_size=512),
    ),
)
"""As the paper has them: sizes of the checkpoints, and sides that images are brought to."""

CLIP_POOLS = System(
    ("pf.bg.stripped@clip_b", "pf.bg.full@clip_b"),
    *(BASE_32, 224, 1, partial(checkpoints.write_clip, image_size=224)),
)
"""The network of `clip_i`, loaded again."""


def write_dreamsim(path: Path, **_: Any) -> None:
    """Its architecture is the package's, which expects a CPU."""
    with torch.device("cpu"):
        checkpoints.write_dreamsim(path)


if find_spec("dreamsim") is not None:
    SYSTEMS += (System(("dreamsim",), BASE_16, 224, 1, write_dreamsim, n_towers=3),)
