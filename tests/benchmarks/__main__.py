"""`python -m tests.benchmarks [folder=DIR] [rounds=3] [only=NAME,...] [quick=true]`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.settings import section, setting
from jobs.pipeline.errors import CallError
from jobs.pipeline.segmenting.config import SegmenterConfig
from masc_core.encoder import best_device
from tests.benchmarks import (
    analysis_coverage,
    comparator_costs,
    comparing,
    coverage,
    early,
    efficiency,
    error_rates,
    input_side,
    many_answers,
    many_gpus,
    memory,
    on_gpu,
    packing,
    precision,
    reducing,
    report_page,
    rewarding,
    scoring,
    segmenter_costs,
    segmenter_iou,
    year,
)
from tests.benchmarks.figures import Figure, show
from tests.benchmarks.workload import base_checkpoint

log = logging.getLogger(__name__)


@dataclass
class BenchConfig:
    folder: str = setting("bench", "where shards, checkpoints and runs go")
    out: str = setting("bench.json", "the figures, as JSON")
    rounds: int = setting(3, "rounds of each comparison; the median counts")
    only: list[str] = setting([], "the benchmarks to run; none means all")
    segmenter: SegmenterConfig = section(SegmenterConfig)


def benchmarks(folder: Path, config: BenchConfig) -> dict[str, Callable[[], list[Figure]]]:
    """By name; nothing is written before one is called."""
    base, rounds = partial(base_checkpoint, folder), config.rounds
    return {
        "authors": lambda: scoring.against_the_authors(folder, base(), rounds, 24, 1, 2.0),
        "authors4": lambda: scoring.against_the_authors(folder, base(), rounds, 18, 4, 7.5),
        "bfloat16": lambda: scoring.against_the_authors_in_bfloat16(
            folder, base(), rounds, 24, 3.6
        ),
        "precision": lambda: precision.on_photos(base(), {"bfloat16": 20, "float16": 5}),
        "script": lambda: scoring.against_a_quick_script(folder, base(), max(1, rounds - 1), 32),
        "bare": lambda: scoring.against_the_bare_encoder(folder, base(), rounds, 36),
        "efficiency": lambda: efficiency.of_the_encoder(base(), rounds),
        "answers": lambda: many_answers.of_one_forward(base(), rounds, 4),
        "reward": lambda: rewarding.of_the_reward(base(), rounds, 1),
        "linear": lambda: scoring.linearity(folder, base(), max(1, rounds - 1), 6),
        "reduce": lambda: reducing.against_the_bare_queries(folder, rounds, 10_000_000, 200),
        "reduce-large": lambda: reducing.in_little_memory(folder, 100_000_000, 1_000),
        "coverage": lambda: [*coverage.of_intervals(), *coverage.cost(models=100, columns=10)],
        "analyses": lambda: [*analysis_coverage.of_analyses(), *analysis_coverage.cost()],
        "error-rates": lambda: list(error_rates.of_verdicts()),
        "early": lambda: list(early.of_nights()),
        "year": lambda: list(year.of_a_year()),
        "compare": lambda: comparing.against_the_bare_join(folder, rounds, 10_000_000, 100),
        "report": lambda: [
            *report_page.of_many_rows(folder, 1_000_000, 100, 60),
            *report_page.of_many_rows(folder, 10_000_000, 500, 300),
        ],
        "input": lambda: input_side.in_a_worker(folder, 128),
        "pack": lambda: packing.against_plain_reading(folder, rounds, n_concepts=150),
        "memory": lambda: memory.growth(folder, 1000),
        "many-gpus": lambda: many_gpus.simulate(folder, 8, 8, 450, 1000, 12),
        "segmenters": lambda: segmenter_costs.of_each(folder, best_device()),
        "comparators": lambda: [
            *comparator_costs.of_each(folder, rounds),
            *comparator_costs.of_all_together(folder, rounds, 4),
        ],
        "iou": lambda: segmenter_iou.measure(folder, config.segmenter),
        "gpu": lambda: on_gpu.measure(folder, rounds),
    }


def bench(config: BenchConfig, as_json: bool) -> int:
    """Measure everything that the project promises of speed and memory, and print one table."""
    folder = Path(config.folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    known = benchmarks(folder, config)
    for name in config.only:
        if name not in known:
            raise CallError(f"only={name}: no such benchmark; known: {', '.join(known)}")
    figures: list[Figure] = []
    for name in config.only or known:
        log.info("measuring: %s", name)
        figures += known[name]()
        # What is measured so far is not lost if a later one fails.
        show(figures, Path(config.out))
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(run_command("bench", BenchConfig, bench, sys.argv[1:]))
