"""A run that gains columns, shards and concepts, as a user adds them: by the same command."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from masc_core.comparators import COMPARATORS
from tests.commands import Run, description_of, here_asking, rows_of
from tests.comparators import TOYS
from tests.pipeline.scoring.test_gains import same
from tests.shards import Member, generation, reference, write_tar

pytestmark = pytest.mark.services

Evaluate = Callable[..., Run]


@pytest.fixture
def folder(naflex_checkpoint: Path, tmp_path: Path) -> Path:
    """Three shards of four samples, two references, and an encoder of their own."""
    shutil.copytree(naflex_checkpoint, tmp_path / "encoder")
    write_tar(tmp_path / "references-0.tar", [*reference("cat/0", 1), *reference("cat/1", 2)])
    for shard in range(3):
        write_shard(tmp_path, shard)
    return tmp_path


def write_shard(folder: Path, shard: int, n: int = 4, **fields: str) -> None:
    members: list[Member] = []
    for i in range(n):
        members += generation(f"{shard}/{i}", 4 * shard + i, **fields)
    write_tar(folder / f"generations-{shard}.tar", members)


@pytest.fixture
def evaluate(folder: Path, joined_here: None, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """`jobs.evaluate` with two comparators more, on what lies in the folder."""
    for name, where in TOYS.items():
        monkeypatch.setitem(COMPARATORS, name, where)

    def call(*words: str) -> Run:
        words = (
            *(f"samples={folder}/generations-*.tar", f"references={folder}/references-*.tar"),
            *(f"run={folder}/run", f"encoder.name_or_path={folder}/encoder"),
            *("encoder.max_num_patches=36", "workers.cpus=1", *words),
        )
        return here_asking("evaluate", *words)

    return call


def tables(folder: Path) -> dict[str, pq.ParquetFile]:
    return {path.name: pq.read_table(path) for path in sorted((folder / "run/scores").iterdir())}


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "run/scores").iterdir()}


def test_comparators_are_added_without_the_encoder_and_each_group_stands_for_itself(
    folder: Path, evaluate: Evaluate
) -> None:
    assert evaluate().returncode == 0
    before = tables(folder)

    # Its checkpoint is not even there.
    (folder / "encoder").rename(folder / "away")
    added = evaluate("metric.extra=[tones]")
    assert added.returncode == 0, added.stderr
    after = tables(folder)
    assert list(after) == list(before)
    for name, part in after.items():
        same(part, before[name])
        assert part["tones"].null_count == 0
    described = description_of(folder / "run")
    assert described["format"] == 2
    assert set(described["fingerprint"]) == {"masc", "tones"}
    assert described["fingerprint"]["masc"]["encoder.weights"].startswith("sha256:")

    # Less, or the same, changes nothing and starts nothing.
    unchanged = times(folder)
    for words in ([], ["metric.extra=[tones]"]):
        again = evaluate(*words, "ray.address=127.0.0.1:1")
        assert again.returncode == 0, again.stderr
    assert times(folder) == unchanged

    # What needs the encoder says that it is not there.
    leak = evaluate("metric.extra=[cp.leak]", "ray.address=127.0.0.1:1")
    assert leak.returncode == 1
    assert f"encoder.name_or_path={folder}/encoder: no such directory" in leak.stderr

    # A change in a group that is there is refused, by its key alone.
    (folder / "away").rename(folder / "encoder")
    refused = evaluate(
        "metric.extra=[mean_colour,tones]", "metric.fg_threshold=0.4", "ray.address=127.0.0.1:1"
    )
    assert refused.returncode == 1
    assert "another configuration: metric.fg_threshold is 0.4, there 0.5. Name" in refused.stderr
    assert times(folder) == unchanged


def test_a_shard_that_changed_is_scored_anew_with_all_that_its_part_had_or_left(
    folder: Path, evaluate: Evaluate
) -> None:
    assert evaluate("metric.extra=[tones,cp.leak]").returncode == 0
    before = times(folder)
    write_shard(folder, 1, n=2)

    left = evaluate()
    assert left.returncode == 3
    assert "generations-1.tar is left as it is: it has changed, and its part has tones" in (
        left.stderr
    )
    assert times(folder) == before
    assert description_of(folder / "run")["state"] == "incomplete"

    anew = evaluate("metric.extra=[tones]")
    assert anew.returncode == 0, anew.stderr
    assert description_of(folder / "run")["state"] == "done"
    rows = rows_of(folder / "run")
    assert len(rows) == 10
    assert all(row["tones"] is not None and row["cp.leak"] is not None for row in rows)
    assert sum(times(folder)[name] != before[name] for name in before) == 1


def test_a_run_grows_by_shards_and_concepts_and_refuses_a_concept_that_changed(
    folder: Path, evaluate: Evaluate
) -> None:
    assert evaluate().returncode == 0
    before = times(folder)

    # Only what is new is named.
    write_shard(folder, 3, concept="dog", subject="dog", prompt="a dog on a beach")
    write_tar(folder / "references-1.tar", reference("dog/0", 7, concept="dog"))
    grown = evaluate(f"samples={folder}/generations-3.tar", f"references={folder}/references-1.tar")
    assert grown.returncode == 0, grown.stderr
    assert {name: times(folder)[name] for name in before} == before
    assert {row["concept"] for row in rows_of(folder / "run")} == {"cat", "dog"}

    # All together, with references that lie in other shards than before.
    members = [*reference("dog/0", 7, concept="dog"), *reference("cat/1", 2)]
    write_tar(folder / "references-1.tar", members)
    write_tar(folder / "references-0.tar", reference("cat/0", 1))
    whole = evaluate()
    assert whole.returncode == 0, whole.stderr
    assert "16 samples: 16 ok" in whole.stderr
    unchanged = times(folder)

    write_tar(folder / "references-1.tar", [*members, *reference("cat/2", 5)])
    refused = evaluate()
    assert refused.returncode == 1
    assert "concept 'cat' has gained, lost or changed references" in refused.stderr
    write_tar(folder / "references-1.tar", reference("cat/1", 2))
    lost = evaluate()
    assert lost.returncode == 1
    assert "concept 'dog' has lost references" in lost.stderr
    assert times(folder) == unchanged
