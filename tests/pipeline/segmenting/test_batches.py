"""Batches of one bucket, none far behind what passes it."""

from __future__ import annotations

from jobs.pipeline.segmenting.batches import REACH, batches_within_reach


def batches(items: str, size: int) -> list[str]:
    """Of letters: each is its own bucket, a dot is not to be computed."""
    found = batches_within_reach(items, lambda item: None if item == "." else item, lambda: size)
    return ["".join(batch) for batch in found]


def test_a_batch_is_of_one_bucket_and_goes_out_when_it_is_full() -> None:
    assert batches("ababab", 2) == ["aa", "bb", "a", "b"]
    assert batches("ababab", 1) == list("ababab")


def test_what_is_not_to_be_computed_is_told_at_once() -> None:
    assert batches(".a.a", 2) == ["", "", "aa"]


def test_no_batch_waits_while_more_pass_than_are_to_be_held() -> None:
    passing = 10 * REACH
    assert batches("a" + "." * passing, 2) == [
        *[""] * (2 * REACH),
        "a",
        *[""] * (passing - 2 * REACH),
    ]
    assert batches("a" + "b" * passing, 2).index("a") == REACH
