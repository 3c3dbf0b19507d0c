"""Inputs that are read once, whatever fails and in whatever order they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import ray
from ray.exceptions import ObjectLostError

from jobs.pipeline.cluster.first_phase import FirstPhase
from jobs.pipeline.errors import CallError


class Concatenation:
    """A job whose workers share the answers, joined."""

    participle = "read"
    inputs_setting = "references"
    load: Any = None

    def __init__(self, *inputs: str) -> None:
        self.inputs: Sequence[str] = inputs

    def share(self, answers: Sequence[str]) -> str:
        return " ".join(answers)


def test_the_answers_are_shared_in_the_order_of_the_inputs_not_of_chance(joined: None) -> None:
    phase = FirstPhase(Concatenation("/a", "/b", "/c"), max_attempts=2)
    assert [phase.take() for _ in range(4)] == [0, 1, 2, None]
    stored = [ray.put(name) for name in "abc"]
    for number in (2, 0, 1):
        assert not phase.is_over
        phase.answered(number, f"answer {number}", stored[number])
    assert phase.is_over
    shared, in_order = phase.to_share()
    assert ray.get(shared) == "answer 0 answer 1 answer 2"
    assert ray.get(in_order) == ["a", "b", "c"]


def test_a_job_without_inputs_shares_what_it_makes_of_none(joined: None) -> None:
    phase = FirstPhase(Concatenation(), max_attempts=2)
    assert phase.is_over
    shared, stored = phase.to_share()
    assert (ray.get(shared), stored) == ("", [])


def test_an_input_that_fails_waits_again_and_is_named_when_it_has_failed_too_often() -> None:
    phase = FirstPhase(Concatenation("s3://me:secret@b/r.tar"), max_attempts=2)
    phase.failed(0, "the worker's node is gone", is_own_fault=False)
    phase.failed(0, "reset by peer", is_own_fault=True)
    assert phase.take() == 0
    with pytest.raises(CallError, match=r"^references=s3://b/r\.tar: cannot be read: reset by"):
        phase.failed(0, "reset by peer", is_own_fault=True)


def test_what_is_lost_with_a_node_is_read_again_and_may_not_have_changed(joined: None) -> None:
    phase = FirstPhase(Concatenation("/a", "/b"), max_attempts=2)
    phase.take(), phase.take()
    a, b = ray.put("a"), ray.put("b")
    phase.answered(0, "A", a)
    phase.answered(1, "B", b)
    phase.lost(ObjectLostError(b.hex(), None, ""))
    assert not phase.is_over
    assert phase.take() == 1
    with pytest.raises(CallError, match=r"^references=/b: changed while the run went on$"):
        phase.answered(1, "another B", ray.put("b"))
    again = ray.put("b")
    phase.answered(1, "B", again)
    assert phase.is_over
    assert phase.to_share()[1] == [a, again]
