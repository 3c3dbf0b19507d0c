"""A short soak of every fault, so that what `make soak` proves is never broken unseen."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path

import pytest

from tests.commands import SUBMITTED
from tests.soak.__main__ import undisturbed
from tests.soak.cycle import Cycle, Tally, compare
from tests.soak.faults import FAULTS, draws
from tests.soak.world import Size, world

SEED = 0
SHARDS = 90
"""More than are done while the faults come, on a busy machine too. What is left then takes little
time: the storage is no longer slow."""
ELSEWHERE = {"SIGTERM to the driver", "SIGINT to the driver"}
"""Each costs a call, and `tests/jobs/test_faults.py` sends them too."""


@pytest.mark.services
def test_whatever_dies_on_the_way_every_sample_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one worker at a time, whose node is not the head's."""
    monkeypatch.setenv(SUBMITTED, "{}")
    size = Size(shards=SHARDS, samples_a_shard=2, nodes=2, head_works=False)
    faults = [draw for draw in islice(draws(SEED), len(FAULTS)) if draw.name not in ELSEWHERE]
    with world(tmp_path, size, SEED) as made:
        truth = undisturbed(made)
        assert len(truth) == 2 * SHARDS
        cycle = Cycle(made, "disturbed")
        cycle.disturb(faults, until=math.inf, delay=3.0)
        cycle.finish()
        tally = cycle.check(truth)
    assert cycle.problems == []
    assert cycle.faults == dict.fromkeys(FAULTS.keys() - ELSEWHERE, 1)
    assert tally == Tally(expected=2 * SHARDS, found=2 * SHARDS)


def test_the_tally_sees_what_is_lost_doubled_or_changed() -> None:
    def row(key: str, cp: float = 0.5, status: str = "ok") -> dict:
        return {"key": key, "status": status, "cp": cp, "pf": 0.25}

    truth = {key: row(key) for key in "abcde"}
    rows = [row("a"), row("a"), row("b", cp=0.75), row("c", status="error"), row("x"), row("e")]
    tally = compare(truth, rows)
    assert tally == Tally(
        expected=5,
        found=6,
        duplicates=1,
        missing=1,
        unknown=1,
        errors=1,
        inexact=2,
        largest_difference=0.25,
    )
    assert not tally.is_right
    assert compare(truth, truth.values()).is_right
    assert (tally + compare(truth, truth.values())).expected == 10


def test_a_seed_draws_the_same_faults_and_no_kind_is_left_out() -> None:
    first = list(islice(draws(7), 3 * len(FAULTS)))
    assert first == list(islice(draws(7), 3 * len(FAULTS)))
    assert first != list(islice(draws(8), 3 * len(FAULTS)))
    assert {draw.name for draw in first[: len(FAULTS)]} == set(FAULTS)
