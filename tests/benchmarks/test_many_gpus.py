"""A slice of the simulated cluster, which this process joins: of no other may it be part."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import many_gpus

pytestmark = pytest.mark.services


def test_a_simulated_cluster_commits_every_shard(tmp_path: Path) -> None:
    idle, cpu = many_gpus.simulate(tmp_path, 1, 2, rate=200, samples_a_shard=20, n_each=8)
    assert idle.detail.startswith("16 shards of 0.1 s")
    assert cpu.value > 0
