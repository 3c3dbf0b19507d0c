"""`dry_run=true` and `limit=N`: a look before the work, and a first piece of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from masc_core.comparators import COMPARATORS
from tests.commands import Run, description_of, here, here_asking, rows_of
from tests.comparators import TOYS
from tests.shards import Member, generation, reference, write_tar

pytestmark = pytest.mark.slow


@pytest.fixture
def words(tmp_path: Path, naflex_checkpoint: Path) -> list[str]:
    write_tar(tmp_path / "references-0.tar", [*reference("cat/0", 1), *reference("cat/1", 2)])
    for shard in range(3):
        members: list[Member] = []
        for i in range(5):
            members += generation(f"{shard}/{i}", 5 * shard + i)
        write_tar(tmp_path / f"generations-{shard}.tar", members)
    return [
        *(f"samples={tmp_path}/generations-*.tar", f"references={tmp_path}/references-*.tar"),
        *(f"run={tmp_path}/run", f"encoder.name_or_path={naflex_checkpoint}"),
        *("encoder.max_num_patches=36", "workers.cpus=1"),
    ]


def look(words: list[str], *more: str) -> Run:
    # A cluster that is not there: nobody asks for it.
    return here_asking("evaluate", *words, "dry_run=true", "ray.address=127.0.0.1:1", *more)


def test_it_says_what_would_be_done_and_leaves_nothing(tmp_path: Path, words: list[str]) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = look(words, "--json", "metric.extra=[cp.leak]")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["shards"], found["shards_to_do"], found["references"]) == (3, 3, 2)
    assert found["looked_at"] == {"ok": 15, "skipped": 0, "error": 0}
    assert found["columns_to_compute"] == ["cp", "cp.leak", "pf"]
    assert abs(found["samples_to_do"] - 15) <= 2
    # Two references of 36 patch tokens, float32.
    assert found["reference_bytes"] % (2 * 36 * 4) == 0
    assert sorted(tmp_path.rglob("*")) == before
    shown = look(words)
    assert "looked at   15 samples: 15 ok, 0 skipped, 0 error" in shown.stdout


def test_what_cannot_be_scored_is_shown_with_its_reason(tmp_path: Path, words: list[str]) -> None:
    odd: list[Member] = [
        *generation("no-mask", 1)[::2],
        *generation("stranger", 2, concept="yak"),
        *generation("silent", 3, subject="zebra"),
    ]
    write_tar(tmp_path / "generations-1.tar", odd)
    (tmp_path / "generations-2.tar").write_bytes(b"no tar")
    done = look(words, "--json")
    assert done.returncode == 2
    found = json.loads(done.stdout)
    assert found["looked_at"] == {"ok": 6, "skipped": 0, "error": 2}
    assert found["errors"]["stranger"] == "json: concept 'yak' has no reference"
    assert found["errors"]["no-mask"].startswith("mask.png: missing")
    assert found["warnings"]["subject not found"]["example"].startswith("silent: subject 'zebra'")
    assert list(found["unreadable"]) == [f"{tmp_path}/generations-2.tar"]


def test_it_says_what_has_a_pass_of_its_own(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMPARATORS, "counted", TOYS["counted"])
    monkeypatch.setitem(COMPARATORS, "mean_colour", TOYS["mean_colour"])
    extra = "metric.extra=[counted,mean_colour]"
    # It says 10 GB, and 0.6 of 16 are 9.6.
    parted = look(words, extra, "workers.memory_gb=16")
    assert parted.returncode == 0, parted.stderr
    lines = [line.split() for line in parted.stdout.splitlines() if line.startswith("pass ")]
    assert [line[:3] for line in lines] == [["pass", "1", "masc,"], ["pass", "2", "counted,"]]
    assert "mean_colour, 0 B of weights" in parted.stdout
    assert "counted, 10 GB of weights" in parted.stdout
    whole = look(words, extra)
    assert whole.stdout.count("pass ") == 1
    assert "workers.memory_gb=GB" in whole.stdout
    assert "pass " not in look(words).stdout

    nowhere = look(words, extra, "workers.memory_gb=8")
    assert nowhere.returncode == 1
    assert "its weights take 10 GB, and a worker's device has 8 GB" in nowhere.stderr


def test_what_would_be_refused_is_refused(tmp_path: Path, words: list[str]) -> None:
    wrong = look(words, "encoder.name_or_path=/nowhere")
    assert wrong.returncode == 1
    assert "encoder.name_or_path=/nowhere: no such directory" in wrong.stderr
    assert look(words, "limit=0").returncode == 1


@pytest.mark.services
def test_a_first_piece_is_a_run_of_its_own(
    tmp_path: Path, words: list[str], joined_here: None
) -> None:
    first = here("evaluate", *words, "limit=2")
    assert first.returncode == 0, first.stderr
    keys = sorted(row["key"] for row in rows_of(tmp_path / "run"))
    assert keys == [f"{shard}/{i}" for shard in range(3) for i in range(2)]
    assert description_of(tmp_path / "run")["fingerprint"]["masc"]["limit"] == 2
    for other in ("limit=null", "limit=3"):
        refused = here_asking("evaluate", *words, other, "ray.address=127.0.0.1:1")
        assert refused.returncode == 1
        assert "limit is" in refused.stderr
    # With what is there, nothing is left to do.
    again = look(words, "limit=2", "--json")
    assert json.loads(again.stdout)["shards_to_do"] == 0
