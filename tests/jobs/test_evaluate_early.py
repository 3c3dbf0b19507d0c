"""`jobs.evaluate baseline=RUN early=true`: real shards, ended when the verdict stands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.pipeline.cluster import driver
from masc_core.comparators import COMPARATORS
from tests.commands import Run, description_of, here, rows_of
from tests.comparators import TOYS
from tests.shards import generation, reference, write_tar

pytestmark = [pytest.mark.services, pytest.mark.slow]

N_SHARDS = 24
EARLY = ("early=true", "gate.margins.pf=null", "gate.margins.cp=0.01")


def write_shards(folder: Path, drawn_as: Callable[[int], int]) -> None:
    """A concept a shard; its generation is drawn as the picture of this number."""
    folder.mkdir()
    references = []
    for number in range(N_SHARDS):
        concept = f"c{number:02d}"
        references += reference(f"{concept}/0", number, concept=concept, subject="cat")
        members = generation(
            f"{concept}/g",
            drawn_as(number),
            concept=concept,
            model=folder.name,
            subject=None,
            seed=1,
        )
        write_tar(folder / f"generations-{number:06d}.tar", members)
    write_tar(folder / "references-000000.tar", references)


@pytest.fixture(scope="module")
def evaluate(
    joined_here: None, naflex_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Run]]:
    """Of a model by its name: `good` copies the references, `bad` has pictures of its own."""
    root = tmp_path_factory.mktemp("early")
    write_shards(root / "good", lambda number: number)
    write_shards(root / "bad", lambda number: number + 500)

    def call(model: str, *words: str) -> Run:
        return here(
            "evaluate",
            f"samples={root}/{model}/generations-*.tar",
            f"references={root}/{model}/references-*.tar",
            f"run={root}/runs/{model}",
            f"encoder.name_or_path={naflex_checkpoint}",
            "encoder.max_num_patches=64",
            "workers.count=1",
            *(word.replace("ROOT", str(root)) for word in words),
        )

    call.root = root  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        # A gate that hears of shards a second later would hear of all of these at once.
        patch.setattr(driver, "POLL_SECONDS", 0.02)
        first = call("good")
        assert first.returncode == 0, first.stderr
        yield call


def test_a_bad_model_is_ended_early_and_stays_so_until_all_of_it_is_asked_for(
    evaluate: Callable[..., Run],
) -> None:
    run: Path = evaluate.root / "runs" / "bad"  # type: ignore[attr-defined]
    early = (*EARLY, "baseline=ROOT/runs/good")
    done = evaluate("bad", *early)
    assert done.returncode == 4, done.stderr
    described = description_of(run)
    assert described["state"] == "early"
    found = described["early"]
    assert found["verdict"] == "regressed"
    assert 10 <= found["n_concepts"] == len(found["shards"]) < N_SHARDS
    parts = set(run.glob("scores/*.parquet"))
    assert len(parts) == N_SHARDS - found["n_shards_not_done"] < N_SHARDS
    assert "stopped early" in (run / "summary" / "leaderboard.md").read_text()
    assert "the night's verdict: regressed" in here("status", f"run={run}").stdout

    # A kill just before a commit: the same call stops at the same place, with the same verdict.
    (run / "scores" / f"{found['shards'][-1]}.parquet").unlink()
    again = evaluate("bad", *early)
    assert again.returncode == 4, again.stderr
    same = description_of(run)["early"]
    assert (same["shards"], same["verdict"]) == (found["shards"], "regressed")
    assert same["looks"] == found["looks"]

    # With nothing to score, nothing is begun.
    before = set(run.glob("scores/*.parquet"))
    assert evaluate("bad", *early).returncode == 4
    assert set(run.glob("scores/*.parquet")) == before

    whole = evaluate("bad")
    assert whole.returncode == 0, whole.stderr
    assert description_of(run)["state"] == "done"
    assert len(list(run.glob("scores/*.parquet"))) == N_SHARDS
    assert "stopped early" not in (run / "summary" / "leaderboard.md").read_text()


def test_a_further_pass_is_over_what_was_scored_before_the_verdict_stood(
    evaluate: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMPARATORS, "counted", TOYS["counted"])
    run: Path = evaluate.root / "runs" / "in passes"  # type: ignore[attr-defined]
    words = (*EARLY, "baseline=ROOT/runs/good", "run=ROOT/runs/in passes")
    done = evaluate("bad", *words, "metric.extra=[counted]", "comparators.counted.own_pass=true")
    assert done.returncode == 4, done.stderr
    described = description_of(run)
    assert described["state"] == "early"
    n_scored = N_SHARDS - described["early"]["n_shards_not_done"]
    rows = rows_of(run)
    assert len(rows) == n_scored == described["n_shards_scored"] < N_SHARDS
    assert all(row["counted"] is not None for row in rows)
    assert [worker["shards"] for worker in described["workers"]] == [n_scored, n_scored]

    # A kill in the second pass: what the first did not score is not scored by the next call.
    lost = sorted(run.glob("scores/*.parquet"))[0]
    pq.write_table(*without(lost, "counted"))
    again = evaluate("bad", *words, "metric.extra=[counted]", "comparators.counted.own_pass=true")
    assert again.returncode == 4, again.stderr
    assert sorted(map(str, rows_of(run))) == sorted(map(str, rows))
    assert description_of(run)["early"] == described["early"]


def without(part: Path, column: str) -> tuple[pa.Table, Path]:
    """A part as it was before it had gained a column, its group out of the footer."""
    table = pq.read_table(part).drop_columns([column])
    metadata = dict(table.schema.metadata)
    for key, value in metadata.items():
        if isinstance(found := json.loads(value), dict):
            metadata[key] = json.dumps({k: v for k, v in found.items() if k != column}).encode()
    return table.replace_schema_metadata(metadata), part


@pytest.mark.parametrize("words", [("early=true",), ("baseline=ROOT/runs/good",)])
def test_one_without_the_other_is_refused(
    evaluate: Callable[..., Run], words: tuple[str, ...]
) -> None:
    done = evaluate("bad", *words)
    assert done.returncode == 1
    assert "early=true and baseline=RUN go together" in done.stderr
