"""What comparators cost: each at its published size, and all of them in one pass."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from jobs.pipeline.run.shard import find_shards
from jobs.pipeline.scoring.config import ComparatorConfig, EncoderConfig, MetricConfig
from jobs.pipeline.scoring.metrics import groups_asked, metrics_asked, metrics_for
from jobs.pipeline.scoring.plan import ScoringPlan
from jobs.pipeline.scoring.scorer import ShardScorer
from masc_core.comparators.network import mixed_precision
from masc_core.comparators.settings import settings_key
from masc_core.device import release_cached_memory
from masc_core.encoder import best_device
from masc_core.torchvision_compat import make_torchvision_importable
from tests.benchmarks.arithmetic import counted_flops
from tests.benchmarks.comparator_systems import CLIP_POOLS, SYSTEMS, System
from tests.benchmarks.figures import Figure, alternate, at_most, between, median_ratio
from tests.benchmarks.workload import rendered, write_shards
from tests.pipeline.scoring.small_scorer import MAX_IMAGE_PIXELS, ready_scorer

log = logging.getLogger(__name__)

BATCHES = (1, 32)
"""Images a forward pass, on a GPU; on a CPU more than one gain nothing."""

LEAST_SECONDS = 0.3
"""Of passes that are timed for a figure, on a GPU; on a CPU one pass is."""

SIZE = (512, 512)


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
    metric = system.loaded(folder)
    forward = getattr(metric.network, "describe", None) or metric.network.encode
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


def of_all_together(
    folder: Path, rounds: int, n: int, systems: Sequence[System] | None = None
) -> list[Figure]:
    """Seconds a sample of all comparators in one pass, over the sum of their bare forwards.

    They join rows that there are, each image decoded and prepared for all of them; the bare
    forwards are the library's, on ready pixels, in the same thread.

    Args:
        systems: None for all, of base size.
    """
    if best_device().type != "cpu":
        log.warning("skipped: what is promised of all comparators together is of a CPU")
        return []
    _quieten_transformers()
    if systems is None:
        systems = [each.of_base_size() for each in (*SYSTEMS, CLIP_POOLS)]
    joining = _Joining(folder, systems, n)
    measured = alternate(rounds, joining.bare, joining.all_together, joining.bare)
    pairs = [(together, bare) for bare, together in between(measured)]
    ratio, detail = median_ratio(pairs)
    seconds = min(together for together, _ in pairs)
    name = f"{len(systems)} comparators of base size in one pass / their bare forwards"
    return [at_most(name, ratio, "x", 1.1, f"{detail}; {seconds:.3g} s a sample")]


class _Joining:
    """A shard whose rows comparators join, as often as they are asked to."""

    def __init__(self, folder: Path, systems: Sequence[System], n: int) -> None:
        joining = folder / "joining"
        shutil.rmtree(joining, ignore_errors=True)
        write_shards(joining, "g", rendered(n, [SIZE], 1, "generation"), n, "JPEG")
        write_shards(joining, "r", rendered(1, [SIZE], 1, "reference"), 1)
        [self._shard] = find_shards([str(each) for each in joining.glob("g-*.tar")])
        self._n = n
        config = {
            settings_key(name): ComparatorConfig(str(system.checkpoint(folder)))
            for system in systems
            for name in system.names
        }
        extra = [name for system in systems for name in system.names]
        encoder = EncoderConfig("demo", max_num_patches=36)
        asked = metrics_asked(encoder, MetricConfig(extra=extra), config, MAX_IMAGE_PIXELS)

        def scorer(columns: frozenset[str]) -> ShardScorer:
            self.metrics: Any = metrics_for(asked, columns)
            run = str(joining / "run")
            plan = ScoringPlan(run, self.metrics, groups_asked(asked), 0.0, MAX_IMAGE_PIXELS)
            return ready_scorer(plan, list(joining.glob("r-*.tar")), batch_size=None)

        scorer(asked[0].columns).process(self._shard)
        [self._part] = (joining / "run" / "scores").iterdir()
        self._rows = self._part.read_bytes()
        self._scorer = scorer(frozenset().union(*(each.columns for each in asked[1:])))
        self._pixels = [
            torch.rand(1, 3, system.side, system.side).to(metric.dtype)
            for system, metric in zip(systems, self.metrics, strict=True)
        ]

    def all_together(self) -> float:
        """Seconds a sample, from the shard to its part."""
        self._part.write_bytes(self._rows)
        began = time.monotonic()
        counts = self._scorer.process(self._shard).counts
        seconds = time.monotonic() - began
        assert counts.ok == self._n
        return seconds / self._n

    def bare(self) -> float:
        """Seconds of one forward of each."""

        def forwards() -> float:
            began = time.monotonic()
            for _ in range(self._n):
                for metric, pixels in zip(self.metrics, self._pixels, strict=True):
                    _bare_forward(metric.network, pixels)
            return time.monotonic() - began

        # Another thread would have threads of torch's own beside those of this one.
        return self._scorer._pass._computing.submit(forwards).result() / self._n


def _bare_forward(network: Any, pixels: torch.Tensor) -> None:
    """What a plain use of the library calls."""
    is_mixed = str(network.dtype).removeprefix("torch.") != network.dtype_name
    precision = network.dtype_name if is_mixed else "float32"
    with torch.inference_mode(), mixed_precision(pixels.device, precision):
        if hasattr(network, "_vision"):
            network._visual_projection(network._vision(pixels).pooler_output)
        else:
            getattr(network._model, "embed", network._model)(pixels)
