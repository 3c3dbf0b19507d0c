"""What is left to compute, by what the parts of a run hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from jobs.pipeline.run.parts import ConceptDigests, PartState
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.scoring.metrics import is_masc_column
from jobs.pipeline.scoring.reference_digests import found_concepts


@dataclass(frozen=True)
class Remaining:
    """What a call has to do."""

    shards: list[Shard]
    """Without a part, or with one that lacks columns or is of another version of them."""
    columns: frozenset[str]
    """All that some of these shards lack."""
    left: list[tuple[Shard, str]]
    """Shards that have to be scored anew and cannot be, each with why."""


def remaining(
    shards: Sequence[Shard],
    states: Mapping[str, PartState],
    asked: Mapping[str, Collection[str]],
    concepts: Mapping[str, ConceptDigests],
) -> Remaining:
    """What is left of `shards`.

    A shard that changed since it was scored is scored anew, whole: with all columns that its part
    had.

    Args:
        states: of the parts that there are, by the ids of their shards.
        asked: the columns that the call asks for, by their groups.
        concepts: what references hold, as far as that was read; one that a part's rows had to do
            without has them scored anew.
    """
    everything = frozenset(column for columns in asked.values() for column in columns)
    to_do: list[Shard] = []
    columns: set[str] = set()
    left: list[tuple[Shard, str]] = []
    for shard in shards:
        state = states.get(shard.id)
        if state is None:
            lacking = everything
        elif is_current(state, shard, concepts):
            lacking = everything - state.columns
        elif lost := sorted(set(state.footer.groups) - set(asked)):
            why = f"it has changed, and its part has {', '.join(lost)}, not asked for by this call"
            left.append((shard, why))
            continue
        else:
            lacking = everything | {name for name in state.columns if is_masc_column(name)}
        if lacking:
            to_do.append(shard)
            columns |= lacking
    return Remaining(to_do, frozenset(columns), left)


def is_current(
    state: PartState | None, shard: Shard, concepts: Mapping[str, ConceptDigests]
) -> TypeGuard[PartState]:
    """Whether a part is of the shard as it is now, so that columns may join it."""
    return (
        state is not None
        and state.is_of(shard)
        and not found_concepts(state.footer.references, concepts)
    )
