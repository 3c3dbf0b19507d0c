"""What a benchmark found, and how it is shown."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    value: float
    unit: str
    target: str = ""
    """What it must hold, where something is asked of it."""
    is_met: bool | None = None
    detail: str = ""


def at_least(name: str, value: float, unit: str, least: float, detail: str = "") -> Figure:
    """A figure that must not be smaller."""
    return Figure(name, value, unit, f">= {least:g}", value >= least, detail)


def at_most(name: str, value: float, unit: str, most: float, detail: str = "") -> Figure:
    """A figure that must not be larger."""
    return Figure(name, value, unit, f"<= {most:g}", value <= most, detail)


def told(figures: list[Figure]) -> list[Figure]:
    """The figures, shown at once: a machine that is lent for minutes may be gone at the end."""
    for figure in figures:
        log.info("%s: %.4g %s (%s)", figure.name.strip(), figure.value, figure.unit, figure.detail)
    return figures


def median_ratio(pairs: Sequence[tuple[float, ...]]) -> tuple[float, str]:
    """The median over rounds of the first over the second, and all rounds in words."""
    ratios = [first / second for first, second in pairs]
    return median(ratios), "rounds " + ", ".join(f"{ratio:.2f}" for ratio in ratios)


def alternate(rounds: int, *sides: Callable[[], float]) -> list[tuple[float, ...]]:
    """Seconds of each side in each round, taken in turn so that the machine's drift meets both."""
    return [tuple(side() for side in sides) for _ in range(rounds)]


def between(measured: Sequence[tuple[float, ...]]) -> list[tuple[float, float]]:
    """One side before and after the other: its mean, and the other's; drift within a round."""
    return [((before + after) / 2, other) for before, other, after in measured]


def machine() -> dict[str, Any]:
    """Where the figures were taken."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cpu": cpu,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": torch.multiprocessing.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def show(figures: Sequence[Figure], path: Path) -> None:
    """Print the table, and write it and the machine as JSON."""
    described = machine()
    table = Table(title=" · ".join(str(value) for value in described.values() if value))
    for column in ("figure", "value", "target", "met", "detail"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for figure in figures:
        met = {True: "yes", False: "NO", None: ""}[figure.is_met]
        value = f"{figure.value:,.4g} {figure.unit}".strip()
        table.add_row(figure.name, value, figure.target, met, figure.detail)
    Console(width=160).print(table)
    document = {"machine": described, "figures": [asdict(figure) for figure in figures]}
    path.write_text(json.dumps(document, indent=2) + "\n")
