"""What is said of a shard that is done."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass
class RowCounts:
    """Rows by status."""

    ok: int = 0
    skipped: int = 0
    error: int = 0

    @property
    def total(self) -> int:
        """All rows."""
        return self.ok + self.skipped + self.error

    def __add__(self, other: RowCounts) -> RowCounts:
        return RowCounts(self.ok + other.ok, self.skipped + other.skipped, self.error + other.error)


@dataclass
class Timings:
    """Where the time of one shard went, in seconds."""

    began: float = 0.0
    """When it got the encoder, by the worker's clock."""
    waiting: float = 0.0
    """For samples to be read and decoded, while it had the encoder."""
    scoring: float = 0.0
    """In the encoder, and whatever else comes after decoding."""
    commit: float = 0.0
    """Writing the part, while another shard has the encoder."""

    @property
    def ended(self) -> float:
        """When it let go of the encoder."""
        return self.began + self.waiting + self.scoring


@dataclass(frozen=True)
class Warned:
    """Rows of which one kind of thing is suspicious."""

    n: int
    example: str
    """The first of them, and what is suspicious of it."""

    def __add__(self, other: Warned) -> Warned:
        return Warned(self.n + other.n, self.example)


def merged(found: Iterable[Mapping[str, Warned]]) -> dict[str, Warned]:
    """The warnings of several shards as one."""
    total: dict[str, Warned] = {}
    for warnings in found:
        for kind, warned in warnings.items():
            total[kind] = total[kind] + warned if kind in total else warned
    return total


LONGEST_KIND = 80
MOST_KINDS = 20
"""Of errors that are told apart; the rest is `OTHER`."""
OTHER = "other"


def kind_of(reason: str) -> str:
    """What a row's `error` has in common with others of its kind: neither names nor numbers.

    >>> kind_of("json: concept 'a dog' has no reference")
    'json: concept ... has no reference'
    >>> kind_of("mask.png: 640x480, the image has 512x512: belongs to another image")
    'mask.png: NxN, the image has NxN'
    """
    member, separator, rest = reason.partition(": ")
    cause = rest.partition(": ")[0].partition("; ")[0]
    # The member of a reference is its key.
    whole = f"{member.partition(' ')[0]}{separator}{cause}" if separator else reason
    plain = re.sub(r"\d+(\.\d+)?", "N", re.sub(r"'[^']*'|\"[^\"]*\"", "...", whole))
    return plain[:LONGEST_KIND]


def kinds_of(reasons: Iterable[str]) -> dict[str, int]:
    """How many there are of each kind, the most frequent first."""
    return fewest_kinds(Counter(map(kind_of, reasons)))


def fewest_kinds(kinds: Mapping[str, int]) -> dict[str, int]:
    """The same, of which no more than `MOST_KINDS` are told apart."""
    ordered = Counter(kinds).most_common()
    few = dict(ordered[:MOST_KINDS])
    if more := sum(n for _, n in ordered[MOST_KINDS:]):
        few[OTHER] = few.get(OTHER, 0) + more
    return few


class FirstError(NamedTuple):
    """The first sample of a shard that could not be done."""

    key: str
    reason: str


@dataclass(frozen=True)
class ShardReport:
    """What the driver hears of a shard that is committed."""

    shard_id: str
    counts: RowCounts
    timings: Timings
    first_error: FirstError | None
    """None where every sample could be."""
    warnings: Mapping[str, Warned] = field(default_factory=dict)
    """What is suspicious of rows that are `ok`, by its kind."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Samples that could not be scored, by the kind of the reason (`kind_of`)."""
