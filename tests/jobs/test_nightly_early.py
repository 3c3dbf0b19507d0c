"""`jobs.nightly early=true`: what was decided early is told of, and is nobody's baseline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nights import Nights, nights_at

DROP = 0.02
"""Four margins."""


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    with nights_at(str(tmp_path)) as found:
        yield found


def test_what_was_decided_early_passes_and_is_no_baseline(nights: Nights) -> None:
    for number, drop in enumerate((0.0, 0.0, DROP)):
        nights.complete(f"step-{number}", drop=drop)
    done = nights.call("early=true", "--json")
    assert done.returncode == 4, done.stderr
    # All are held against the first, the last that was scored to the end.
    assert nights.words() == [
        ("step-0", None, None),
        ("step-1", "same", "step-0"),
        ("step-2", "regressed", "step-0"),
    ]
    first, second, third = nights.history()
    assert nights.against == {"step-0": [], "step-1": ["step-0"], "step-2": ["step-0"]}
    assert (first["early_concepts"], first["passed"]) == (None, True)
    assert (second["early_concepts"], second["passed"]) == (10.0, True)
    assert third["early_saved"] == pytest.approx(2 / 12)
    assert "early: after 10 concepts, 17% of the shards not scored" in done.stderr


def test_the_comparison_is_of_the_concepts_that_it_was_decided_on(nights: Nights) -> None:
    nights.complete("step-0")
    nights.complete("step-1")
    nights.call("early=true")
    compared = json.loads(Path(f"{nights.home}/runs/step-1/compare/compare.json").read_text())
    assert compared["n_concepts"] == compared["cp"]["n_concepts"] == 10
    assert [each["kind"] for each in compared["suspicions"]] == ["early"]


def test_a_pinned_baseline_has_a_say_too(nights: Nights) -> None:
    nights.complete("step-0")
    nights.call()
    nights.complete("step-1")
    nights.call("early=true", f"baseline={nights.home}/runs/step-0")
    assert nights.against["step-1"] == ["step-0", "step-0"]


def test_without_it_every_night_goes_on_to_the_end(nights: Nights) -> None:
    nights.complete("step-0")
    nights.complete("step-1")
    nights.call()
    assert nights.against == {"step-0": [], "step-1": []}
    assert nights.history()[1]["early_concepts"] is None
