"""A shard job without images, metrics or tars: it counts the lines of text files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from jobs.pipeline.cluster.shard_job import Resources
from jobs.pipeline.errors import Incomplete
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.reports import RowCounts, ShardReport, Timings
from jobs.pipeline.run.shard import Shard, find_shards
from tests.runs import open_for, still_to_do

POISON = "poison"
"""A line that no worker can bear."""


class LineCounter:
    """What a worker has. A `cluster.shard_job.ShardProcessor`."""

    device = "none"

    def __init__(self, run: str, fingerprint: Mapping[str, Any]) -> None:
        self._run = RunDirectory(run)
        self._groups = {"lines": fingerprint}
        self.counts: dict[str, RowCounts] = {}

    def read_input(self, url: str) -> tuple[str, str]:
        """What a line has to begin with to count."""
        return "read", Path(url).read_text()

    def share(self, shared: int, fetch: Callable[[int], str]) -> None:
        self._starts = tuple(fetch(i) for i in range(shared))

    def process(self, shard: Shard) -> ShardReport:
        lines = Path(shard.url).read_text().splitlines()
        if POISON in lines:
            raise ValueError("as it says")
        kept = [line for line in lines if line.startswith(self._starts)]
        self._run.commit(
            shard, pa.table({"line": kept}), self._groups, over=self._run.read_part(shard)
        )
        return ShardReport(shard.id, RowCounts(ok=len(kept)), Timings(), None)


class LineCounting:
    """Counts them. A `cluster.running.Task` of one pass, which it is."""

    verb = "counting"
    participle = "counted"
    names: Sequence[str] = ()
    inputs_setting = "starts"
    left: Sequence[tuple[Shard, str]] = ()

    def __init__(self, run: str, shards: Sequence[Path], starts: Sequence[Path]) -> None:
        self.shards: Sequence[Shard] = find_shards([str(path) for path in shards])
        self.inputs: Sequence[str] = [str(path) for path in starts]
        fingerprint = {"starts": " ".join(p.read_text() for p in starts)}
        self._groups = {"lines": fingerprint}

        def load(resources: Resources) -> LineCounter:
            return LineCounter(run, fingerprint)

        self.load = load

    def share(self, answers: Sequence[str]) -> int:
        return len(answers)

    def begin(self, run: RunDirectory) -> list[Shard]:
        open_for(run, self._groups, overwrite=False)
        return self.still_to_do(run, self.shards)

    def still_to_do(self, run: RunDirectory, shards: Sequence[Shard]) -> list[Shard]:
        return still_to_do(run, shards, self._groups)

    def to_do(self, run: RunDirectory, shards: Sequence[Shard]) -> list[Shard]:
        return self.still_to_do(run, shards)

    def passes(self) -> Sequence[LineCounting]:
        return (self,)

    def is_begun(self, shards: Sequence[Shard]) -> bool:
        return False

    def needs_cluster(self) -> bool:
        return False

    def begin_on_cluster(self, run: RunDirectory, to_do: list[Shard]) -> list[Shard]:
        return to_do

    def described(self) -> Mapping[str, Any]:
        return {"fingerprint": self._groups, **self.described_inputs()}

    def described_inputs(self) -> Mapping[str, Any]:
        return {"starts": self.inputs}

    def finish(self, run: RunDirectory, is_on_cluster: bool) -> int:
        if not run.parts():
            raise Incomplete("no shard could be counted")
        return pads.dataset(f"{run.url}/scores").count_rows()

    def counted(self, result: int) -> Mapping[str, Any]:
        return {"counts": {"lines": result}}
