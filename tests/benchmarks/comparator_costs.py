"""What each comparator costs: operations, time and memory an image, at its published size."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from masc_core.comparators import ComparatorSettings, make_comparators
from masc_core.device import release_cached_memory
from masc_core.encoder import best_device
from masc_core.torchvision_compat import make_torchvision_importable
from tests.benchmarks.arithmetic import counted_flops, flops_of_vit
from tests.benchmarks.figures import Figure, at_most
from tests.masc_core.comparators import checkpoints

log = logging.getLogger(__name__)

BATCHES = (1, 32)
"""Images a forward pass, on a GPU; on a CPU more than one gain nothing."""

LEAST_SECONDS = 0.3
"""Of passes that are timed for a figure, on a GPU; on a CPU one pass is."""

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

    @property
    def flops(self) -> float:
        """Operations of one image, by arithmetic."""
        tower, n_patches = self.tower, (self.side // self.tower.patch_size) ** 2
        return self.n_towers * flops_of_vit(
            *(tower.width, tower.layers, tower.mlp, tower.patch_size, n_patches),
            self.n_prefix_tokens,
        )


BASE_8, BASE_16, BASE_32 = (Tower(768, 12, 12, 3072, patch) for patch in (8, 16, 32))
SMALL_8 = Tower(384, 12, 6, 1536, 8)
LARGE_16 = Tower(1024, 24, 16, 4096, 16)
SO400M_16 = Tower(1152, 27, 16, 4304, 16)
AGGREGATORS = ("masked_maxcos", "global_maxcos", "weighted_maxcos", "recall_fg")


def patch_columns(backbone: str) -> tuple[str, ...]:
    """The columns that aggregate a backbone's patch tokens."""
    return tuple(f"cp.{each}@{backbone}" for each in AGGREGATORS)


SYSTEMS = (
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
"""As PAPER.md lists them: checkpoints, and the sides that images are brought to."""


def of_each(
    folder: Path, rounds: int, systems: Sequence[System] = SYSTEMS, seconds: float = LEAST_SECONDS
) -> list[Figure]:
    """Operations, time and, on a GPU, memory of each system's network, on ready pixels.

    Args:
        rounds: of which the fastest counts.
        seconds: of timed passes a round, at least, on a GPU.
    """
    _quieten_transformers()
    figures: list[Figure] = []
    for system in systems:
        figures += _of_one(folder, rounds, system, seconds)
    return figures


def _quieten_transformers() -> None:
    make_torchvision_importable()
    from transformers.utils import logging as of_transformers

    of_transformers.set_verbosity_error()
    of_transformers.disable_progress_bar()


def _of_one(folder: Path, rounds: int, system: System, seconds: float) -> list[Figure]:
    device = best_device()
    forward, metric = _ready(folder, system, device)
    n_parameters = sum(p.numel() for p in _parameters(metric.network))
    name = system.names[0]
    figures = [_operations(system, forward, device)]
    for size in BATCHES if device.type == "cuda" else BATCHES[:1]:
        pixels = _pixels(size, system.side, metric)
        _reset_peak(device)
        passes = _passes_of(forward, pixels, device, seconds)
        rate = max(size * passes / _seconds(forward, pixels, passes) for _ in range(rounds))
        detail = (
            f"{1e3 / rate:.4g} ms an image; {system.flops * rate / 1e12:.3g} TFLOP/s; "
            f"{metric.network.dtype_name}; {n_parameters / 1e6:.0f} M parameters"
            f"{_peak(device)}"
        )
        figures.append(Figure(f"{name}, batches of {size}", rate, "images/s", detail=detail))
        log.info("%s: %.4g images/s (%s)", figures[-1].name, rate, detail)
    del forward, metric
    release_cached_memory(device)
    return figures


def _ready(folder: Path, system: System, device: torch.device) -> tuple[Callable[..., Any], Any]:
    """The network's forward pass, and the metric that it is of, loaded as a worker does."""
    tower = system.tower
    path = folder / "comparators" / f"{system.names[0]}-{tower.width}-{tower.layers}"
    if not path.exists():
        with device:  # random numbers for a billion weights take a CPU a minute
            system.write(path, tower=tower.config, patch_size=tower.patch_size)
    metric: Any = make_comparators(system.names, ComparatorSettings(name_or_path=str(path)))
    metric.load()
    network = metric.network
    return getattr(network, "describe", None) or network.encode, metric


def _parameters(network: Any) -> list[torch.nn.Parameter]:
    """Those of the modules that see images."""
    if hasattr(network, "_vision"):
        return [*network._vision.parameters(), *network._visual_projection.parameters()]
    return list(network._model.parameters())


def _pixels(size: int, side: int, metric: Any) -> torch.Tensor:
    return torch.rand(size, 3, side, side).to(metric.device, metric.dtype)


def _operations(system: System, forward: Callable[..., Any], device: torch.device) -> Figure:
    """Counted by torch, operation by operation, and held against arithmetic."""
    network: Any = forward.__self__  # type: ignore[attr-defined]
    pixels = torch.rand(1, 3, system.side, system.side).to(device, network.dtype)
    counted = counted_flops(lambda: forward(pixels))
    return at_most(
        f"{system.names[0]}: counted / arithmetic",
        *(abs(counted / system.flops - 1), "off", 0.02),
        f"{system.flops / 1e9:.4g} GFLOP an image by arithmetic, {counted / 1e9:.4g} counted",
    )


def _passes_of(
    forward: Callable[..., Any], pixels: torch.Tensor, device: torch.device, seconds: float
) -> int:
    """How many passes take about so long, on a GPU; the first ones set the libraries up."""
    _seconds(forward, pixels, 1)
    if device.type != "cuda":
        return 1
    _seconds(forward, pixels, 3)
    return max(3, int(seconds / _seconds(forward, pixels, 3) * 3))


def _seconds(forward: Callable[..., Any], pixels: torch.Tensor, passes: int) -> float:
    began = time.monotonic()
    for _ in range(passes):
        result = forward(pixels)
    float(result.flatten()[-1])  # waits for the device
    return time.monotonic() - began


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        release_cached_memory(device)
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> str:
    if device.type != "cuda":
        return ""
    return f"; {torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB at most on the device"
