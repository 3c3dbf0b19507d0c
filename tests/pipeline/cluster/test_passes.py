"""What each pass of a call has to do, and what the passes come to, without a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.pipeline.cluster.passes import Drive, Passed
from jobs.pipeline.run.reports import RowCounts, ShardReport, Timings, Warned
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.versions import Version

SHARDS = [Shard(f"/shards/{name}.tar", Version(1, "tag")) for name in "abcd"]


class LackingPass:
    """It has these shards to do, whoever asks."""

    names = ("columns",)

    def __init__(self, names: str) -> None:
        self._names = names

    def to_do(self, run: Any, shards: Sequence[Shard]) -> list[Shard]:
        return [shard for shard in shards if shard.url[-5] in self._names]


def left(first: str, second: str, begun: str, done: Passed) -> list[str]:
    """The shards of the first pass, and of the second."""
    passes: Any = [LackingPass(first), LackingPass(second)]
    nothing: Any = None
    drive = Drive(
        *(nothing, "scoring", *(nothing,) * 5),
        is_begun=lambda own: own[0].url[-5] in begun,
        tell_incomplete=lambda: None,
    )
    shards = (drive.shards_of(number, passes, SHARDS, done) for number in (1, 2))
    return ["".join(shard.url[-5] for shard in own) for own in shards]


@pytest.mark.parametrize(
    ("first", "second", "begun", "is_enough", "expected"),
    [
        # The first has what the call has; later ones what they lack by then.
        ("abcd", "abcd", "", False, ["abcd", "abcd"]),
        ("", "cd", "abcd", False, ["abcd", "cd"]),
        # It is enough: what was begun is done in whole, and nothing else is begun.
        ("bcd", "ab", "ab", True, ["ab", "a"]),
        # All have parts, of which the first pass has added to one: the second goes no further.
        ("bcd", "abcd", "abcd", True, ["abcd", "a"]),
    ],
)
def test_what_a_pass_has_to_do(
    first: str, second: str, begun: str, is_enough: bool, expected: list[str]
) -> None:
    assert left(first, second, begun, Passed(is_enough=is_enough)) == expected


def driver(number: int, **warned: dict[str, int]) -> tuple[int, Any]:
    """Of a pass, with what it found suspicious of shards: rows by kind."""
    reports = [
        ShardReport(
            shard,
            RowCounts(ok=3),
            Timings(),
            None,
            {kind: Warned(n, f"{shard} {kind} {number}") for kind, n in kinds.items()},
        )
        for shard, kinds in warned.items()
    ]
    return number, SimpleNamespace(reports=reports, set_aside=[])


def test_what_several_passes_saw_of_a_shard_counts_once_and_nothing_is_lost() -> None:
    passed = Passed(
        [
            driver(1, a={"mask": 2}, b={"mask": 1, "no value": 1}),
            driver(2, a={"mask": 2, "no value": 3}, b={"mask": 1, "no value": 3}),
        ]
    )
    assert passed.warnings == {
        "mask": Warned(3, "a mask 1"),
        "no value": Warned(6, "a no value 2"),
    }
