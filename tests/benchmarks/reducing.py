"""The reducer against the bare group-bys that it consists of, on many rows."""

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

N_MODELS = 20
N_CONCEPTS = 150
QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95]


def write_parts(run: Path, n_rows: int, n_parts: int) -> None:
    """A run of random scores, in the schema of the job."""
    (run / "scores").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    each = n_rows // n_parts
    models = pa.array([f"model-{i:02d}" for i in range(N_MODELS)])
    concepts = pa.array([f"object_{i:03d}_subject" for i in range(N_CONCEPTS)])
    nothing = {f.name: pa.nulls(each, f.type) for f in SCORES_SCHEMA}
    for part in range(n_parts):
        known = {
            "key": pa.array(np.arange(part * each, (part + 1) * each)).cast(pa.string()),
            "shard": pa.array(["shard"] * each),
            "model": models.take(pa.array(rng.integers(N_MODELS, size=each))),
            "concept": concepts.take(pa.array(rng.integers(N_CONCEPTS, size=each))),
            "cp": pa.array(rng.normal(0.7, 0.1, each)),
            "pf": pa.array(rng.normal(0.1, 0.05, each)),
            "status": pa.array(["ok"] * each),
        }
        table = pa.table({**nothing, **known}, schema=SCORES_SCHEMA)
        pq.write_table(table, run / "scores" / f"part-{part:04d}.parquet", compression="zstd")


def bare_queries(run: Path) -> float:
    """Seconds of the three group-bys in DuckDB alone, over its own Parquet reader."""
    statistics = ", ".join(
        f"avg({s}), stddev_samp({s}), min({s}), max({s}), quantile_cont({s}, {QUANTILES})"
        for s in ("cp", "pf")
    )
    began = time.monotonic()
    with duckdb.connect() as connection:
        for keys in ("model", "concept", "model, concept"):
            connection.sql(
                f"SELECT {keys}, count(*), {statistics} "
                f"FROM read_parquet('{run}/scores/*.parquet') GROUP BY {keys}"
            ).fetchall()
    return time.monotonic() - began


def run_of(folder: Path, n_rows: int, n_parts: int) -> Path:
    """A run of so many rows, written where it is not there yet."""
    run = folder / f"reduce-{n_rows}"
    if not run.exists():
        write_parts(run, n_rows, n_parts)
    return run


def reduced(run: Path) -> tuple[float, float]:
    """Seconds of `jobs.reduce`, its imports apart, and GB of memory at its peak."""
    # Not getrusage, whose peak begins with that of the process which started this one.
    code = (
        "import re, sys, time; from jobs.pipeline.results.summary import summarise_run;"
        "began = time.monotonic(); summarise_run(sys.argv[1]);"
        "peak = re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1];"
        "print(time.monotonic() - began, peak)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run)], capture_output=True, text=True, check=True
    )
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak / 2**20


def against_the_bare_queries(folder: Path, rounds: int, n_rows: int, n_parts: int) -> list[Figure]:
    """Seconds of `jobs.reduce` over those of the bare queries, and its memory."""
    run = run_of(folder, n_rows, n_parts)
    peaks: list[float] = []

    def ours() -> float:
        seconds, peak = reduced(run)
        peaks.append(peak)
        return seconds

    measured = alternate(rounds, ours, lambda: bare_queries(run))
    ratio, detail = median_ratio(measured)  # type: ignore[arg-type]
    name = f"{n_rows:,} rows in {n_parts} parts"
    return [
        at_most(f"reducer / bare queries, {name}", ratio, "x", 1.3, detail),
        at_most("  its peak memory", max(peaks), "GB", 1),
    ]


def in_little_memory(folder: Path, n_rows: int, n_parts: int) -> list[Figure]:
    """Seconds and memory of `jobs.reduce` on more rows than fit at once."""
    seconds, peak = reduced(run_of(folder, n_rows, n_parts))
    return [
        Figure(f"reducer, {n_rows:,} rows in {n_parts:,} parts", seconds, "s"),
        at_most("  its peak memory", peak, "GB", 4),
    ]
