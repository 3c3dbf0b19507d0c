"""What a shard job is: something done to every shard, once, by workers of a Ray cluster.

A job says what is particular to it: what a worker loads, what all workers share before they begin,
and what is done to a shard. Who does what, what happens when workers die, when to stop and how far
it has come is the driver's, which knows no job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from jobs.pipeline.networks import Networks
from jobs.pipeline.run.reports import RowCounts, ShardReport
from jobs.pipeline.run.shard import Shard


@dataclass(frozen=True)
class Resources:
    """What a worker may use."""

    threads: int
    """Cores: as many threads compute, and as many decode beside them."""
    batch_size: int | None
    """Samples a batch; None lets the worker choose for its device."""
    networks: Networks = field(default_factory=Networks)
    """What earlier jobs have loaded in this worker."""


class ShardProcessor(Protocol):
    """What a worker has loaded."""

    @property
    def counts(self) -> Mapping[str, RowCounts]:
        """Rows so far of the shards at hand, by their id; read from another thread."""

    @property
    def device(self) -> str:
        """Where it computes, for the record."""

    def share(self, shared: Any, fetch: Callable[[int], Any]) -> None:
        """What `ShardJob.share` made of all answers; `fetch(i)` gets what was stored of input i."""

    def process(self, shard: Shard) -> ShardReport:
        """Do it to a shard, and commit the result; called from two threads at once."""


class InputProcessor(ShardProcessor, Protocol):
    """What a worker of a job with inputs has loaded."""

    def read_input(self, url: str) -> tuple[Any, Any]:
        """The first phase: of one of the job's inputs, what the driver is told, and what stays in
        the object store for the workers."""


class ShardJob(Protocol):
    """One thing done to every shard."""

    participle: str
    """What becomes of a shard, as in `scored`; for messages."""
    inputs: Sequence[str]
    """What the first phase reads: URLs. Without any, there is no such phase."""
    inputs_setting: str
    """The setting that named them, for messages."""
    load: Callable[[Resources], ShardProcessor]
    """Called in every worker, which imports what it needs there. A job with inputs gives an
    `InputProcessor`.

    Raises `CallError` where what it needs cannot be loaded."""

    def share(self, answers: Sequence[Any]) -> Any:
        """What every worker is told before its first shard, from the answers for all inputs in
        their order.

        Raises:
            CallError: the inputs cannot be used.
        """
