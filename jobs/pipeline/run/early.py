"""What `run.json` says of a run that may stop, or has stopped, before all of its shards were done.

A run whose `state` is `early` is not done: it holds what was needed for a verdict, and no more. The
same call with `early=false` goes on with it to the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

EARLY = "early"
"""The state, and the key under which it is told how it came to it."""


@dataclass(frozen=True)
class EarlyEnd:
    """What a verdict rests on that was given before the end."""

    verdict: str
    concepts: Sequence[str]
    """Those that it was decided on, by name."""
    n_concepts_in_all: int
    """Of the whole night, by what the baseline has."""
    shards: Sequence[str]
    """Ids of the shards that were looked at; others may have been done meanwhile."""
    n_shards: int
    n_shards_not_done: int

    @property
    def saved(self) -> float:
        """The share of the shards that nobody had to score."""
        return self.n_shards_not_done / self.n_shards if self.n_shards else 0.0

    def document(self) -> dict[str, Any]:
        """As `run.json` has it."""
        return {**asdict(self), "n_concepts": len(self.concepts), "saved": round(self.saved, 4)}

    def __str__(self) -> str:
        return (
            f"stopped early, {self.verdict} after {len(self.concepts):,} of "
            f"{self.n_concepts_in_all:,} concepts; {self.saved:.0%} of the shards were not scored"
        )


def early_end(described: Mapping[str, Any] | None) -> EarlyEnd | None:
    """Of a run that stopped early; None where it did not.

    Args:
        described: what its `run.json` says.

    Raises:
        ValueError: it says that it did, and not on what; the message goes on from "run.json".
    """
    if not described or described.get("state") != EARLY:
        return None
    found = described.get(EARLY)
    kinds = {
        "verdict": str,
        "concepts": list,
        "n_concepts_in_all": int,
        "shards": list,
        "n_shards": int,
        "n_shards_not_done": int,
    }
    if not isinstance(found, dict):
        raise ValueError(f"says that it stopped early, and has no object {EARLY!r}")
    for name, kind in kinds.items():
        if not isinstance(found.get(name), kind):
            raise ValueError(f"has no {EARLY}.{name} that says on what it stopped early")
    return EarlyEnd(**{name: found[name] for name in kinds})
