"""A gate over a run's parts, without a cluster: what it looks at, and when it has seen enough."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.pipeline.comparison import CompareConfig, compare
from jobs.pipeline.errors import CallError
from jobs.pipeline.gating import Gate
from jobs.pipeline.results.summary import summarise_run
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.rows import SCORES_SCHEMA
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.versions import Version

pytestmark = pytest.mark.slow

N_SHARDS, CONCEPTS_A_SHARD, PROMPTS = 20, 2, 3
GROUPS = {"masc": {"encoder.dtype": "float32"}}
MARGIN = 0.005


def shards_of(run: Path) -> list[Shard]:
    return [Shard(f"{run}-shards/{number:03d}.tar", Version(1, "a")) for number in range(N_SHARDS)]


def rows_of(run: Path, number: int, drop: float) -> list[dict[str, Any]]:
    """Two concepts' rows, of noise that is a hundredth of a margin."""
    rng = np.random.default_rng([number, *run.name.encode()])
    rows = []
    for concept in range(CONCEPTS_A_SHARD * number, CONCEPTS_A_SHARD * (number + 1)):
        for prompt in range(PROMPTS):
            row = {"model": run.name, "concept": f"c{concept:02d}", "prompt_id": f"p{prompt}"}
            row |= {"key": f"{concept}/{prompt}", "shard": "s", "prompt": f"at p{prompt}"}
            row |= {"cp": 0.6 - drop + rng.normal(0, 5e-5), "pf": 0.2, "seed": 1, "status": "ok"}
            rows.append(row)
    return rows


def commit(run: Path, numbers: Sequence[int], drop: float = 0.0, n_rows: int | None = None) -> None:
    """Parts of these shards."""
    directory = RunDirectory(str(run))
    directory.open(overwrite=False)
    for number in numbers:
        table = pa.Table.from_pylist(rows_of(run, number, drop)[:n_rows], SCORES_SCHEMA)
        directory.commit(shards_of(run)[number], table, GROUPS)


@pytest.fixture
def runs(tmp_path: Path) -> tuple[CompareConfig, Path]:
    """How a candidate, which has no part yet, is held against a baseline."""
    before, after = tmp_path / "before", tmp_path / "after"
    commit(before, range(N_SHARDS))
    return CompareConfig(str(before), [str(after)], gate={"cp": MARGIN, "pf": MARGIN}), after


def gate_of(runs: tuple[CompareConfig, Path]) -> Gate:
    return Gate([runs[0]], str(runs[1]), shards_of(runs[1]))


def in_order(runs: tuple[CompareConfig, Path]) -> list[int]:
    """The numbers of the shards, in the gate's order."""
    shards = shards_of(runs[1])
    return [shards.index(shard) for shard in gate_of(runs).in_order(shards)]


def early(gate: Gate, n_not_done: int = 1) -> dict[str, Any]:
    return gate.described(n_not_done)["early"]


def describe(run: Path, gate: Gate, n_not_done: int) -> None:
    described = {"state": "early", **gate.described(n_not_done)}
    RunDirectory(str(run)).describe(json.loads(json.dumps(described)))


def test_shards_come_in_a_random_order_that_their_ids_alone_decide(
    runs: tuple[CompareConfig, Path],
) -> None:
    order = in_order(runs)
    assert sorted(order) == list(range(N_SHARDS)) != order
    shards = shards_of(runs[1])
    backwards = Gate([runs[0]], str(runs[1]), shards[::-1])
    assert [shards.index(shard) for shard in backwards.in_order(shards[::-1])] == order


def test_a_large_drop_is_enough_after_as_many_concepts_as_are_asked_for(
    runs: tuple[CompareConfig, Path],
) -> None:
    gate, order = gate_of(runs), in_order(runs)
    commit(runs[1], order[:4], drop=8 * MARGIN)
    assert not gate.is_enough()
    commit(runs[1], order[4:5], drop=8 * MARGIN)
    assert gate.is_enough()
    found = early(gate, 15)
    assert (found["verdict"], found["n_concepts"], found["saved"]) == ("regressed", 10, 0.75)
    assert found["n_concepts_in_all"] == 40
    assert [each["concepts"] for each in found["looks"]] == [2, 4, 6, 8, 10]
    assert found["looks"][3]["columns"]["cp"][2] < -MARGIN  # it was clear, and too few all the same


def test_it_looks_at_the_first_shards_alone_whichever_were_done_first(
    runs: tuple[CompareConfig, Path],
) -> None:
    gate, order = gate_of(runs), in_order(runs)
    commit(runs[1], order[1:], drop=8 * MARGIN)
    assert not gate.is_enough()
    commit(runs[1], order[:1], drop=8 * MARGIN)
    assert gate.is_enough()
    # At the place where a call would have stopped that did them in their order.
    shards = shards_of(runs[1])
    assert early(gate)["shards"] == [shards[number].id for number in order[:5]]
    again = gate_of(runs)
    assert again.is_enough()
    assert early(again) == early(gate)


def test_a_concept_counts_when_it_has_as_many_rows_as_the_baseline_has_of_it(
    runs: tuple[CompareConfig, Path],
) -> None:
    gate, order = gate_of(runs), in_order(runs)
    commit(runs[1], order[:1], drop=8 * MARGIN, n_rows=PROMPTS + 1)
    commit(runs[1], order[1:5], drop=8 * MARGIN)
    assert not gate.is_enough()
    assert [each["concepts"] for each in early(gate)["looks"]] == [1, 3, 5, 7, 9]


def test_shards_without_whole_concepts_are_told_of(
    runs: tuple[CompareConfig, Path], caplog: pytest.LogCaptureFixture
) -> None:
    gate, order = gate_of(runs), in_order(runs)
    commit(runs[1], order[:5], drop=8 * MARGIN, n_rows=PROMPTS - 1)
    assert not gate.is_enough()
    assert "after 5 of 20 shards, so little is decided early" in caplog.text


def test_a_part_that_is_to_gain_a_column_is_not_looked_at_yet(
    runs: tuple[CompareConfig, Path],
) -> None:
    commit(runs[1], range(N_SHARDS), drop=8 * MARGIN)
    waiting = Gate([runs[0]], str(runs[1]), shards_of(runs[1]), lambda: {"cp", "clip_i"})
    assert not waiting.is_enough()
    assert Gate([runs[0]], str(runs[1]), shards_of(runs[1]), lambda: {"cp", "pf"}).is_enough()


def test_no_difference_stands_only_once_all_columns_say_so(
    runs: tuple[CompareConfig, Path],
) -> None:
    gate, order = gate_of(runs), in_order(runs)
    commit(runs[1], order[:15])
    assert gate.is_enough()
    assert early(gate)["verdict"] == "same"


def test_at_the_last_shard_nothing_is_early(runs: tuple[CompareConfig, Path]) -> None:
    config, run = runs
    config.min_concepts = N_SHARDS * CONCEPTS_A_SHARD
    gate = gate_of(runs)
    commit(run, range(N_SHARDS), drop=8 * MARGIN)
    assert not gate.is_enough()


def test_a_comparison_of_what_stopped_early_says_the_same_of_the_same_concepts(
    runs: tuple[CompareConfig, Path],
) -> None:
    config, run = runs
    gate, order = gate_of(runs), in_order(runs)
    commit(run, order[:5], drop=8 * MARGIN)
    # A worker was at it when the gate had seen enough; its rows say otherwise, and do not count.
    commit(run, order[5:12], drop=-90 * MARGIN)
    assert gate.is_enough()
    describe(run, gate, 8)
    judged = compare(config)
    [comparison] = judged.comparisons
    assert str(judged.verdict) == "regressed"
    assert comparison.columns["cp"].estimate.concepts == 10
    assert comparison.evidence.pairs.n_unpaired == (0, 0)
    [told] = [each for each in comparison.evidence.suspicions if each.kind == "early"]
    assert told.text == (
        "the candidate run stopped early, regressed after 10 of 40 concepts; 40% of the shards "
        "were not scored"
    )


def test_what_stopped_early_is_no_baseline(runs: tuple[CompareConfig, Path]) -> None:
    config, run = runs
    gate, order = gate_of(runs), in_order(runs)
    commit(run, order[:5], drop=8 * MARGIN)
    assert gate.is_enough()
    describe(run, gate, 15)
    turned = CompareConfig(str(run), [config.baseline], gate=config.gate)
    with pytest.raises(CallError, match=r"stopped early, .* so it is no baseline"):
        compare(turned)
    with pytest.raises(CallError, match=r"stopped early, .* so it is no baseline"):
        Gate([turned], config.baseline, shards_of(run))


def test_a_summary_of_what_stopped_early_says_so(runs: tuple[CompareConfig, Path]) -> None:
    _, run = runs
    gate, order = gate_of(runs), in_order(runs)
    commit(run, order[:5], drop=8 * MARGIN)
    assert gate.is_enough()
    describe(run, gate, 15)
    source = run.parent / f"{run.name}-shards"
    source.mkdir()
    summarise_run(str(run), {shard.id: shard for shard in shards_of(run)})
    board = (run / "summary" / "leaderboard.md").read_text()
    assert "stopped early, regressed after 10 of 40 concepts; 75% of the shards" in board


def test_what_was_scored_in_another_way_is_never_enough(runs: tuple[CompareConfig, Path]) -> None:
    _, run = runs
    directory = RunDirectory(str(run))
    directory.open(overwrite=False)
    first = in_order(runs)[0]
    table = pa.Table.from_pylist(rows_of(run, first, 0.0), SCORES_SCHEMA)
    directory.commit(shards_of(run)[first], table, {"masc": {"encoder.dtype": "bfloat16"}})
    with pytest.raises(CallError, match="scored in another way"):
        gate_of(runs).is_enough()


def test_an_early_end_without_what_it_rests_on_is_refused(
    runs: tuple[CompareConfig, Path],
) -> None:
    config, run = runs
    commit(run, range(N_SHARDS))
    RunDirectory(str(run)).describe({"state": "early"})
    with pytest.raises(CallError, match=r"run.json says that it stopped early, and has no object"):
        compare(config)
