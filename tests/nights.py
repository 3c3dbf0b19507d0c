"""Nights without a cluster: scoring alone is replaced, by what writes parts of known scores."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import fsspec
import numpy as np
import pytest

from jobs.nightly import nightly_command
from jobs.pipeline import judging, nightly
from jobs.pipeline.cluster.running import Outcome
from jobs.pipeline.command.call import run_command
from jobs.pipeline.comparison import CompareConfig
from jobs.pipeline.errors import Incomplete
from jobs.pipeline.evaluation import EvaluateConfig
from jobs.pipeline.nightly_settings import NightlyConfig
from jobs.pipeline.nights.history import History, Row
from jobs.pipeline.results.summary import Summary, summarise_run
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.early import EarlyEnd
from jobs.pipeline.run.rows import SCORES_SCHEMA
from tests.commands import Run
from tests.pipeline.results.test_summary import write_part

FIRST_MARK = datetime(2026, 11, 1, tzinfo=UTC)
SUMMARIES: dict[str, Summary] = {}
"""By a checkpoint and its scores; which part they are read from is of no account."""
FOOTER = json.dumps({"fingerprint": {"encoder.dtype": "float32"}, "source": {}})


@dataclass
class Nights:
    """An inbox, a home, and the nightly job between them."""

    root: str
    """A folder, or a URL."""
    scored: list[str] = field(default_factory=list)
    """Checkpoints, each as often as it was scored."""
    against: dict[str, list[str]] = field(default_factory=dict)
    """By checkpoint, the runs that it was to be decided early against."""

    @property
    def home(self) -> str:
        return f"{self.root}/home"

    def add(self, name: str, **scores: Any) -> None:
        """Shards of a checkpoint that are not marked complete.

        Args:
            scores: `drop` of CP, `pf_drop`, `concepts`, `seeds`, `n_error`, `models`.
        """
        self._write(f"{name}/generations-000.tar", json.dumps(scores).encode())

    def complete(self, name: str, **scores: Any) -> None:
        """A checkpoint that is complete."""
        self.add(name, **scores)
        self._write(f"{name}/_SUCCESS", b"")

    def call(self, *words: str) -> Run:
        """The command's own function, here: its imports take seconds."""
        out, err = io.StringIO(), io.StringIO()
        given = [f"inbox={self.root}/inbox/{{checkpoint}}/*.tar", f"home={self.home}", *words]
        heard = logging.StreamHandler(err)
        root = logging.getLogger()
        level = root.level
        root.addHandler(heard)
        root.setLevel(logging.INFO)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                status = run_command("nightly", NightlyConfig, nightly_command, given)
        finally:
            root.removeHandler(heard)
            root.setLevel(level)
        return Run(given, status, out.getvalue(), err.getvalue())

    def history(self) -> list[Row]:
        """The rows that are written."""
        fs, path = fsspec.core.url_to_fs(f"{self.home}/history.parquet")
        fs.invalidate_cache()
        return list(History.from_parquet(fs.cat_file(path)).rows)

    def words(self) -> list[tuple[str, str | None, str | None]]:
        """Of each row the checkpoint, its verdict, and what it was held against."""
        return [(row["checkpoint"], row["verdict"], row["against"]) for row in self.history()]

    def _write(self, name: str, content: bytes) -> None:
        fs, path = fsspec.core.url_to_fs(f"{self.root}/inbox/{name}")
        fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        fs.pipe_file(path, content)

    def evaluate(
        self, config: EvaluateConfig, against: Sequence[CompareConfig] = ()
    ) -> Outcome[Summary]:
        """In the place of the real one."""
        name = config.run.rpartition("/")[2]
        self.scored.append(name)
        self.against[name] = [each.baseline.rpartition("/")[2] for each in against]
        fs, pattern = fsspec.core.url_to_fs(config.samples[0])
        fs.invalidate_cache()
        [shard] = fs.glob(pattern)
        scores = json.loads(fs.cat_file(shard))
        if scores.get("is_broken"):
            raise Incomplete("workers do not start")
        write_part(config.run, "part", rows_of(name, **scores), FOOTER, SCORES_SCHEMA)
        known = f"{name} {scores}"
        if known not in SUMMARIES:
            SUMMARIES[known] = summarise_run(config.run)
        run = RunDirectory(config.run)
        workers = [{"device": "cpu", "waiting": 1.0, "scoring": 2.0, "commit": 0.5, "idle": 0.5}]
        described = {"seconds": 5.0, "workers": workers, "fingerprint": {"a": 1}}
        # Of what is asked to be decided early, the first ten concepts are enough.
        end = EarlyEnd("same", [f"c{g:02d}" for g in range(10)], 12, ["part"], 12, 2)
        early = {"state": "early", "early": end.document()} if against else {"state": "done"}
        run.describe({**described, **early})
        return Outcome(SUMMARIES[known])


def rows_of(
    name: str,
    drop: float = 0.0,
    pf_drop: float = 0.0,
    concepts: int = 12,
    seeds: int = 2,
    n_error: int = 0,
    models: int = 1,
    noise: float = 0.001,
) -> list[dict[str, Any]]:
    """Three prompts a concept, with noise of the checkpoint's own around what each gives."""
    rng = np.random.default_rng(list(name.encode()))
    rows: list[dict[str, Any]] = []
    for g in range(concepts):
        for prompt in range(3):
            for seed in range(seeds):
                row = {"model": f"{name}-{seed % models}", "concept": f"c{g:02d}"}
                row |= {"prompt_id": f"p{prompt}", "prompt": f"a c{g} at p{prompt}", "seed": seed}
                row |= {"cp": 0.6 + 0.01 * g - drop + rng.normal(0, noise), "fg_fraction": 0.3}
                row |= {"pf": 0.2 + 0.05 * prompt - pf_drop + rng.normal(0, noise)}
                rows.append(row | {"status": "ok"})
    for row in rows[:n_error]:
        row |= {"status": "error", "cp": None, "pf": None}
    return rows


@contextmanager
def _no_cluster(*_: Any) -> Iterator[bool]:
    yield False


def _page(run: str, *_: Any) -> dict[str, bytes]:
    return {"index.html": run.encode()}


@contextmanager
def nights_at(root: str) -> Iterator[Nights]:
    """Nights whose scoring and pages are replaced; all else is as it is."""
    nights = Nights(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "evaluate", nights.evaluate)
        patch.setattr(nightly, "joined_cluster", _no_cluster)
        # The page takes longer than the rest of such a night together.
        patch.setattr("jobs.nightly.night_page", _page)
        yield nights


def later(days: int) -> datetime:
    """A time of a mark."""
    return FIRST_MARK + timedelta(days=days)
