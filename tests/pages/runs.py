"""Runs to report on: small, of known figures, with names that a stranger chose."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from jobs.pages.settings import ReportConfig
from jobs.pipeline.command.call import run_command
from jobs.pipeline.nights.history import History
from jobs.report import report_command
from tests.commands import Run
from tests.pipeline.results.test_summary import NAN, schema_with, write_part

Row = dict[str, Any]
FOOTER = '{"fingerprint": {"encoder.dtype": "float32"}, "source": {}}'
IMAGE = "<img src=x onerror=alert(1)>"
SCRIPT = "a mug</script><script>alert(2)</script>"
LONG = "модель-" + "very_long_name_" * 12 + "🎨"
LONELY = "of-one-concept"
PLAIN = "plain & simple"
COPY = "copy"
CONCEPTS = 14
PROMPTS = ("beach", SCRIPT, "snow")


def rows_of_page() -> list[Row]:
    """Five models: one copies its references, one has a single concept, and rows that failed."""
    rng, rows = np.random.default_rng(7), []
    levels = {
        PLAIN: (0.8, 0.3, 0.3),
        IMAGE: (0.6, 0.31, 0.35),
        LONG: (0.5, 0.28, 0.3),
        COPY: (0.95, 0.05, 0.9),
    }
    for model, (cp, pf, leak) in levels.items():
        for concept in range(CONCEPTS):
            for prompt in PROMPTS:
                rows.append(
                    {
                        **_sample(model, f"concept-{concept:02d}", prompt, "ok"),
                        "cp": cp + rng.normal(0, 0.02),
                        "pf": pf + rng.normal(0, 0.02),
                        "cp.leak": leak + rng.normal(0, 0.02),
                        "extra": json.dumps({"difficulty": ["easy", "hard"][concept % 2]}),
                    }
                )
    rows[0] |= {"cp": NAN, "error": "reference: no patch is foreground"}
    lonely = {"cp": 0.7, "pf": 0.2, "cp.leak": 0.1}
    rows += [{**_sample(LONELY, "concept-00", "beach", "ok"), **lonely}] * 3
    rows += [
        _sample(PLAIN, f"concept-{n:02d}", "beach", "error") | {"error": f"jpg: {n} bytes, no JPEG"}
        for n in range(4)
    ]
    skipped = "mask.png: covers 0.001 of the image"
    return [*rows, {**_sample(IMAGE, "concept-01", "snow", "skipped"), "error": skipped}]


def _sample(model: str, concept: str, prompt: str, status: str) -> Row:
    named = {"model": model, "concept": concept, "prompt_id": prompt, "prompt": prompt}
    return {**named, "seed": 0 if status == "ok" else 1, "status": status}


def write_run(run: Path, rows: Sequence[Row], columns: Sequence[str] = ("cp.leak",)) -> Path:
    """A run of one part."""
    write_part(str(run), "part", rows, FOOTER, schema_with(*columns))
    return run


def changed(rows: Sequence[Row], change: Callable[[Row], None]) -> list[Row]:
    """Copies of rows, each changed."""
    copies = [dict(row) for row in rows]
    for row in copies:
        change(row)
    return copies


def history_of(nights: int) -> bytes:
    """A history in which the last but one did not pass."""
    began = datetime(2026, 10, 1, tzinfo=UTC)
    rows = []
    for night in range(nights):
        is_bad = night == nights - 2
        rows.append(
            {
                "checkpoint": f"step-{night}",
                "time": began + timedelta(days=night),
                "judged": began + timedelta(days=night, hours=1),
                "passed": not is_bad,
                "verdict": "regressed" if is_bad else "same" if night else None,
                "against": f"step-{night - 1}" if night else None,
                "suspicions": [],
                "untold": [],
                "step": night,
                "has_too_many_errors": False,
                "verdict_pin": None,
                "floor_note": None,
                **{f"cp_{end}": 0.7 + 0.01 * night + d for end, d in ENDS},
                **{f"pf_{end}": 0.3 + d for end, d in ENDS},
            }
        )
    return History(rows).to_parquet()


def described_early() -> Row:
    """`run.json` of a run that stopped before its end: an interval around -0.04 that narrows."""
    looks = [
        {
            "against": "s3://bucket/baseline",
            "shards": n,
            "concepts": n,
            "verdict": "regressed" if n == CONCEPTS else None,
            "columns": {
                "cp": [-0.04 - 0.4 / n, -0.04 + 0.02 / n, -0.04 + 0.4 / n] if n > 1 else [None] * 3
            },
        }
        for n in range(1, CONCEPTS + 1)
    ]
    return {
        "state": "early",
        "early": {
            "against": ["s3://bucket/baseline"],
            "margins": {"cp": 0.01},
            "looks": looks,
            "verdict": "regressed",
            "concepts": [f"concept-{n:02d}" for n in range(CONCEPTS)],
            "n_concepts_in_all": 40,
            "shards": ["part"],
            "n_shards": 40,
            "n_shards_not_done": 26,
        },
    }


ENDS = (("mean", 0.0), ("ci_low", -0.02), ("ci_high", 0.02))


def report(*words: str) -> Run:
    """The command's own function, here: a process of its own would take its imports each time."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run_command("report", ReportConfig, report_command, list(words))
    return Run([*words], status, out.getvalue(), err.getvalue())


def data_in(page: Path) -> dict[str, Any]:
    """The figures that a page holds."""
    text = page.read_text(encoding="utf-8")
    _, _, rest = text.partition('<script type="application/json" id="data">')
    return json.loads(rest.partition("</script>")[0])


def without_nan(values: Sequence[float | None]) -> Iterator[float]:
    """The numbers among them."""
    return (value for value in values if value is not None and value == value)
