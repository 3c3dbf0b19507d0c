"""`jobs.compare` against the bare join of two runs, on many rows."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.pipeline.run.rows import SCORES_SCHEMA
from tests.benchmarks.figures import Figure, alternate, at_most, median_ratio

N_CONCEPTS, N_PROMPTS = 500, 400


def write_run(run: Path, n_rows: int, n_parts: int, seed: int) -> None:
    """A run of one model, its samples in an order of its own."""
    (run / "scores").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    concepts = pa.array([f"object_{i:03d}_subject" for i in range(N_CONCEPTS)])
    prompts = pa.array([f"prompt-{i:04d}" for i in range(N_PROMPTS)])
    each = n_rows // n_parts
    for part, samples in enumerate(np.split(rng.permutation(each * n_parts), n_parts)):
        concept = samples % N_CONCEPTS
        prompt = samples // N_CONCEPTS % N_PROMPTS
        known = {
            "key": pa.array(samples).cast(pa.string()),
            "shard": pa.array(["shard"] * each),
            "model": pa.array([f"night-{seed}"] * each),
            "concept": concepts.take(pa.array(concept)),
            "prompt_id": prompts.take(pa.array(prompt)),
            "prompt": prompts.take(pa.array(prompt)),
            "seed": pa.array(samples // (N_CONCEPTS * N_PROMPTS)),
            "cp": pa.array(0.5 + 0.0005 * concept + rng.normal(0, 0.05, each)),
            "pf": pa.array(rng.normal(0.1, 0.05, each)),
            "fg_fraction": pa.array(rng.uniform(0.1, 0.5, each)),
            "status": pa.array(["ok"] * each),
        }
        nothing = {f.name: pa.nulls(each, f.type) for f in SCORES_SCHEMA}
        table = pa.table({**nothing, **known}, schema=SCORES_SCHEMA)
        pq.write_table(table, run / "scores" / f"part-{part:04d}.parquet", compression="zstd")


def bare_join(runs: list[Path]) -> float:
    """Seconds of the join and its means in DuckDB alone, over its own Parquet reader."""
    first, second = (f"read_parquet('{run}/scores/*.parquet')" for run in runs)
    began = time.monotonic()
    with duckdb.connect() as connection:
        connection.sql(
            f"""SELECT concept, count(*), avg(c.cp - b.cp), avg(c.pf - b.pf)
            FROM {first} b JOIN {second} c USING (concept, prompt_id, seed) GROUP BY concept"""
        ).fetchall()
    return time.monotonic() - began


def compared(runs: list[Path]) -> tuple[float, float]:
    """Seconds of the comparison, its imports apart, and GB of memory at its peak."""
    # Not getrusage, whose peak begins with that of the process which started this one.
    code = (
        "import re, sys, time;"
        "from jobs.pipeline.comparison import CompareConfig, compare;"
        "began = time.monotonic();"
        "compare(CompareConfig(baseline=sys.argv[1], candidate=[sys.argv[2]]));"
        "peak = re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1];"
        "print(time.monotonic() - began, peak)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, runs)], capture_output=True, text=True, check=True
    )
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak / 2**20


def against_the_bare_join(folder: Path, rounds: int, n_rows: int, n_parts: int) -> list[Figure]:
    """Seconds of `jobs.compare` over those of the bare join, and its memory; then a thousand."""
    runs = [folder / f"compare-{n_rows}-{seed}" for seed in (0, 1)]
    small = [folder / f"compare-1000-{seed}" for seed in (0, 1)]
    for seed, (run, little) in enumerate(zip(runs, small, strict=True)):
        if not run.exists():
            write_run(run, n_rows, n_parts, seed)
        if not little.exists():
            write_run(little, 1_000, 4, seed)
    peaks: list[float] = []

    def ours() -> float:
        seconds, peak = compared(runs)
        peaks.append(peak)
        return seconds

    measured = alternate(rounds, ours, lambda: bare_join(runs))
    ratio, detail = median_ratio(measured)  # type: ignore[arg-type]
    slowest = max(seconds for seconds, _ in measured)
    return [
        at_most(f"compare / bare join, {n_rows:,} rows each", ratio, "x", 3, detail),
        at_most("  its seconds", slowest, "s", 60),
        at_most("  its peak memory", max(peaks), "GB", 4),
        at_most("comparison of 1,000 pairs", compared(small)[0], "s", 1),
    ]
