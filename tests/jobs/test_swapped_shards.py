"""Shards of generations where shards of references are meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.commands import Run
from tests.jobs.test_evaluate import write_good_shards


def test_shards_that_are_named_as_both_are_refused_before_anything_starts(
    evaluate: Callable[..., Run], tmp_path: Path
) -> None:
    write_good_shards(tmp_path, n_shards=1)
    for words in ([f"references={tmp_path}/*.tar"], [f"samples={tmp_path}/*.tar"]):
        refused = evaluate(*words)
        assert refused.returncode == 1
        assert "also named by samples=" in refused.stderr
    assert not (tmp_path / "run").exists()


def test_references_that_are_generations_of_another_shard_are_a_warning(
    evaluate: Callable[..., Run], tmp_path: Path
) -> None:
    write_good_shards(tmp_path, n_shards=2)
    done = evaluate(
        f"samples={tmp_path}/generations-000000.tar",
        f"references={tmp_path}/generations-000001.tar",
    )
    assert "6 of 6 references name a model in their JSON, as generations do" in done.stderr
    assert "s1/0 in " in done.stderr
