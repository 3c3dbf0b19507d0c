"""A run's directory as a job without columns goes on with it."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.fingerprint import Groups
from jobs.pipeline.run.shard import Shard


def open_for(run: RunDirectory, groups: Groups, overwrite: bool = False) -> None:
    """Open it, and make sure that `run.json` names no other configuration."""
    run.open(overwrite)
    run.require_same(groups)


def still_to_do(run: RunDirectory, shards: Sequence[Shard], groups: Groups) -> list[Shard]:
    """The shards without a part, or whose part was made from another version of them."""
    states = run.states(shard.id for shard in shards)
    run.require_same(groups)
    to_do = [s for s in shards if s.id not in states or not states[s.id].is_of(s)]
    run.forget_failures({shard.id for shard in shards} - {shard.id for shard in to_do})
    return to_do
