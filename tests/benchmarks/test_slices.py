"""A small slice of each benchmark, so that `make bench` is never broken unseen."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.benchmarks import input_side, many_gpus, memory, reducing
from tests.benchmarks.figures import at_least, at_most, median_ratio, show


def test_the_reducers_slice_reads_every_row(tmp_path: Path) -> None:
    figures = reducing.against_the_bare_queries(tmp_path, 1, 10_000, 4)
    assert figures[0].value > 0
    summary = json.loads((tmp_path / "reduce-10000" / "summary" / "summary.json").read_text())
    assert summary["counts"]["n"] == 10_000


def test_the_input_sides_slice_measures_every_format(tmp_path: Path) -> None:
    figures = input_side.in_a_worker(tmp_path, 4, seconds=0.1)
    assert len(figures) == 4
    assert all(figure.value > 0 for figure in figures)


def test_a_simulated_cluster_commits_every_shard(tmp_path: Path) -> None:
    idle, cpu = many_gpus.simulate(tmp_path, 2, 2, rate=200, samples_a_shard=20, n_each=4)
    assert idle.detail.startswith("16 shards of 0.1 s")
    assert cpu.value > 0


def test_the_memory_of_a_command_is_its_peak(tmp_path: Path) -> None:
    code = "import time; block = bytearray(300 << 20); time.sleep(1); del block; time.sleep(1)"
    driver, worker = memory.peaks_of([sys.executable, "-c", code])
    assert 300 < driver < 400
    assert worker == 0
    with pytest.raises(RuntimeError, match="wrong"):
        memory.peaks_of([sys.executable, "-c", "raise ValueError('wrong')"])


def test_the_table_says_what_is_met(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert median_ratio([(2, 1), (9, 3), (4, 1)])[0] == 3
    figures = [at_least("speed", 1.9, "x", 2), at_most("memory", 1.0, "GB", 2)]
    show(figures, tmp_path / "bench.json")
    printed = capsys.readouterr().out
    assert "NO" in printed
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [figure["is_met"] for figure in written["figures"]] == [False, True]
    assert written["machine"]["cores"] >= 1
