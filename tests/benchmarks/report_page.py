"""The report on many rows: seconds, memory, the page's size, and how soon a browser has it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.pipeline.run.rows import SCORES_SCHEMA
from tests.benchmarks.figures import Figure, at_most
from tests.pages.browser import browsing

N_MODELS, N_CONCEPTS, N_PROMPTS = 50, 2_000, 10
SCHEMA = pa.schema([*SCORES_SCHEMA, ("cp.leak", pa.float64())])


def write_parts(run: Path, n_rows: int, n_parts: int) -> None:
    """A run in the job's schema: models and concepts of their own difficulty, prompts, a tag, and
    one row in 200 with an error that names the sample."""
    (run / "scores").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    of_model, of_concept = rng.normal(0.6, 0.08, N_MODELS), rng.normal(0, 0.06, N_CONCEPTS)
    each = n_rows // n_parts
    nothing = {field.name: pa.nulls(each, field.type) for field in SCHEMA}
    for part in range(n_parts):
        number = np.arange(part * each, (part + 1) * each)
        model, concept = number % N_MODELS, number // N_MODELS % N_CONCEPTS
        prompt = number // (N_MODELS * N_CONCEPTS) % N_PROMPTS
        is_error = rng.random(each) < 0.005
        cp = of_model[model] + of_concept[concept] + rng.normal(0, 0.05, each)
        pf = 0.2 + 0.02 * prompt + rng.normal(0, 0.03, each)
        errors = [f"jpg: {n} bytes of 'image-{n}' are no JPEG" for n in number[is_error]]
        known = {
            "key": pa.array(
                [f"m{m}/c{c}/{n}" for m, c, n in zip(model, concept, number, strict=True)]
            ),
            "shard": pa.array([f"shard-{part}"] * each),
            "model": pa.array([f"model-{m:02d}" for m in model]),
            "concept": pa.array([f"object_{c:04d}_subject" for c in concept]),
            "prompt_id": pa.array([f"prompt-{p}" for p in prompt]),
            "prompt": pa.array(
                [f"subject {c} in scene {p}" for c, p in zip(concept, prompt, strict=True)]
            ),
            "seed": pa.array(number // (N_MODELS * N_CONCEPTS * N_PROMPTS), pa.int64()),
            "subject": pa.array(["subject"] * each),
            "subject_found": pa.array([True] * each),
            "cp": pa.array(cp, mask=is_error),
            "pf": pa.array(pf, mask=is_error),
            "cp.leak": pa.array(cp - 0.1, mask=is_error),
            "status": pa.array(np.where(is_error, "error", "ok")),
            "extra": pa.array(
                [f'{{"difficulty": "{"easy" if c % 2 else "hard"}"}}' for c in concept]
            ),
        }
        known["error"] = pa.nulls(each, pa.string())
        if errors:
            places = np.full(each, -1)
            places[is_error] = np.arange(len(errors))
            known["error"] = pa.array(errors).take(pa.array(places, mask=~is_error))
        table = pa.table({**nothing, **known}, schema=SCHEMA)
        pq.write_table(table, run / "scores" / f"part-{part:04d}.parquet", compression="zstd")


def reported(run: Path) -> dict[str, float]:
    """Seconds and seconds of CPU of a report, its imports apart, GB at its peak, MB of the page."""
    code = (
        "import json, re, resource, sys, time; from jobs.pages.reporting import report;"
        "from jobs.pages.settings import ReportConfig;"
        "began, cpu = time.monotonic(), time.process_time();"
        "written = report(ReportConfig(run=[sys.argv[1]], gallery=0));"
        "peak = re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1];"
        "print(json.dumps({'seconds': time.monotonic() - began, 'cpu': time.process_time() - cpu,"
        "'peak': int(peak) / 2**20, 'size': written.n_bytes / 1e6}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def opened(page: Path) -> float:
    """Seconds from asking a browser for the page until its script is done; the median of three."""
    seconds = []
    with browsing() as browser:
        for _ in range(3):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.goto(page.as_uri())
            tab.wait_for_selector("html[data-ready]")
            seconds.append(tab.evaluate("performance.getEntriesByName('ready')[0].startTime") / 1e3)
            tab.close()
    return float(np.median(seconds))


def of_many_rows(folder: Path, n_rows: int, n_parts: int, most_seconds: float) -> list[Figure]:
    """A page of 50 models and 2,000 concepts."""
    run = folder / f"report-{n_rows}"
    if not run.exists():
        write_parts(run, n_rows, n_parts)
    found = reported(run)
    detail = f"{found['cpu']:.1f} s of CPU"
    return [
        at_most(f"report, {n_rows:,} rows", found["seconds"], "s", most_seconds, detail),
        at_most("  its peak memory", found["peak"], "GB", 2),
        at_most("  its page", found["size"], "MB", 5),
        at_most("  until a browser has it", opened(run / "report" / "index.html"), "s", 1),
    ]
