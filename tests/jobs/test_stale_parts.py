"""Parts whose shard is gone, has changed, or was named otherwise count for nobody twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import Run, description_of, here
from tests.shards import generation, reference, write_tar

N = 8


def write(folder: Path, per_shard: int) -> None:
    """The same generations, so many a shard."""
    for shard in folder.glob("generations-*.tar"):
        shard.unlink()
    for number, start in enumerate(range(0, N, per_shard)):
        own = range(start, min(N, start + per_shard))
        members = [m for i in own for m in generation(f"{i}", i, model="ab"[i % 2])]
        write_tar(folder / f"generations-{number:06d}.tar", members)


def counts(done: Run) -> dict[str, int]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["counts"]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write_tar(tmp_path / "references-0.tar", reference("cat/0", 1))
    write(tmp_path, 2)
    return tmp_path


def test_shards_that_were_packed_anew_count_once_and_the_old_parts_are_named_and_pruned(
    evaluate: Callable[..., Run], shards: Path
) -> None:
    assert counts(evaluate("--json"))["n"] == N
    write(shards, 3)
    again = evaluate("--json")
    assert counts(again)["n"] == N
    assert "1 parts do not count, since their shards are gone or have changed" in again.stderr
    assert "(3 parts, 3 of them of shards that this call named)" in again.stderr
    [stale] = description_of(shards / "run")["stale_parts"]
    assert "generations-000003" in stale
    reduced = here("reduce", f"run={shards}/run", "--json")
    assert counts(reduced)["n"] == N
    assert "do not count" in reduced.stderr
    assert len(list((shards / "run" / "scores").iterdir())) == 4
    assert counts(evaluate("--json", "prune=true"))["n"] == N
    assert len(list((shards / "run" / "scores").iterdir())) == 3


def test_parts_of_shards_that_stand_count_though_this_call_does_not_name_them(
    evaluate: Callable[..., Run], shards: Path
) -> None:
    assert counts(evaluate("--json"))["n"] == N
    one = evaluate("--json", f"samples={shards}/generations-000001.tar")
    assert counts(one)["n"] == N
    assert "(4 parts, 1 of them of shards that this call named)" in one.stderr


def test_a_shard_that_was_scored_by_another_name_counts_once(
    evaluate: Callable[..., Run], shards: Path
) -> None:
    link = shards / "link.tar"
    link.symlink_to(shards / "generations-000000.tar")
    assert counts(evaluate("--json", f"samples={link}"))["n"] == 2
    again = evaluate("--json")
    assert counts(again)["n"] == N
    assert "the same file counts under another name" in again.stderr


def test_a_shard_that_cannot_be_scored_anew_leaves_its_old_rows_out(
    evaluate: Callable[..., Run], shards: Path
) -> None:
    one = shards / "generations-000001.tar"
    assert counts(evaluate("--json", f"samples={one}"))["n"] == 2
    one.write_text("no tar")
    alone = evaluate("--json", f"samples={one}", "limits.max_shard_attempts=1")
    assert alone.returncode == 3, alone.stderr
    assert "no shard could be scored" in alone.stderr
    again = evaluate("--json", "limits.max_shard_attempts=1")
    assert again.returncode == 3, again.stderr
    assert json.loads(again.stdout)["counts"]["n"] == N - 2
    assert "(3 parts, 3 of them of shards that this call named)" in again.stderr


def test_the_record_says_what_does_not_count_also_where_nothing_was_to_do(
    evaluate: Callable[..., Run], shards: Path
) -> None:
    assert counts(evaluate("--json"))["n"] == N
    (shards / "generations-000003.tar").unlink()
    assert counts(evaluate("--json"))["n"] == N - 2
    described = description_of(shards / "run")
    assert described["counts"]["n"] == N - 2
    [stale] = described["stale_parts"]
    assert "generations-000003" in stale
    assert counts(evaluate("--json", "prune=true"))["n"] == N - 2
    assert counts(evaluate("--json"))["n"] == N - 2
    assert description_of(shards / "run")["stale_parts"] == []
