"""A driver is killed while its run gains columns."""

from __future__ import annotations

import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.commands import here
from tests.driving import Evaluation, until, workers
from tests.in_process import without_ray
from tests.jobs.test_gains import tables, write_shard
from tests.pipeline.scoring.test_gains import same
from tests.shards import reference, write_tar

pytestmark = pytest.mark.services


N_SHARDS = 16


def test_a_kill_while_columns_are_added_loses_nothing_and_the_same_call_goes_on(
    naflex_checkpoint: Path, cluster_address: str, on_cluster: None, tmp_path: Path
) -> None:
    write_tar(tmp_path / "references-0.tar", [*reference("cat/0", 1), *reference("cat/1", 2)])
    for shard in range(N_SHARDS):
        write_shard(tmp_path, shard)
    words = [
        *(f"encoder.name_or_path={naflex_checkpoint}", "encoder.max_num_patches=256"),
        *("workers.cpus=1", "workers.batch_size=2", f"ray.address={cluster_address}"),
    ]
    sources = f"samples={tmp_path}/generations-*.tar", f"references={tmp_path}/references-*.tar"
    run = f"run={tmp_path}/run"
    with pytest.MonkeyPatch.context() as patch:
        without_ray(patch)
        first = here("evaluate", *sources, run, *words)
    assert first.returncode == 0, first.stderr
    before = tables(tmp_path)
    adding = [*words, "metric.extra=[cp.leak]"]

    def n_added() -> int:
        parts = (tmp_path / "run" / "scores").glob("*.parquet")
        return sum("cp.leak" in pq.read_schema(path).names for path in parts)

    with Evaluation(tmp_path, *adding) as evaluation:
        until(lambda: n_added() > 1, f"a part with more; it said {evaluation.stderr}")
        evaluation.signal(signal.SIGKILL)
        evaluation.ended()
    until(lambda: not workers(), "the end of the killed driver's workers")
    assert 0 < n_added() < N_SHARDS
    again = here("evaluate", *sources, run, *adding)
    assert again.returncode == 0, again.stderr
    after = tables(tmp_path)
    assert list(after) == list(before)
    for name, part in after.items():
        same(part, before[name])
        assert part["cp.leak"].null_count == 0
