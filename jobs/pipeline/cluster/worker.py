"""The Ray actor: one encoder on one device, scoring one shard at a time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ray

from jobs.pipeline.cluster import allocator
from jobs.pipeline.cluster.layout import Layout
from jobs.pipeline.errors import CallError
from jobs.pipeline.run.reports import Counts, ShardReport
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.scoring.plan import Plan
from jobs.pipeline.scoring.reference_index import ReferenceEntry, ReferenceIndex

if TYPE_CHECKING:
    from jobs.pipeline.scoring.reference_store import Tokens
    from jobs.pipeline.scoring.scorer import ShardScorer


OPEN_REFERENCE_SHARDS = 8
"""Reference shards that a worker keeps open; one from another node is then also held on its own."""


@dataclass(frozen=True)
class Place:
    """Where a worker runs."""

    node: str
    """Ray's id of the node."""
    gpus: list[str]
    """Ids, on that node, of the GPUs that are its own."""
    device: str
    """Where torch put the encoder."""
    pid: int


@ray.remote(concurrency_groups={"shards": 2, "progress": 1})  # type: ignore[call-overload]
class Worker:
    """Scores shards. `load` comes first, then references, then shards.

    It takes two shards at a time: while one has the encoder, the next is opened and decoded ahead,
    and the one before it is committed.
    """

    def __init__(self) -> None:
        """Nothing is loaded yet, so that what goes wrong in loading is an answer, not a death."""
        self._scorer: ShardScorer | None = None

    def load(self, plan: Plan) -> Place:
        """Load the encoder.

        Raises:
            CallError: the checkpoint, or what the configuration asks of it, cannot be used.
        """
        # Progress bars of N workers over one another tell nobody anything.
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        import transformers

        # What matters of its warnings, weights that are missing, is an error of ours.
        transformers.utils.logging.set_verbosity_error()
        # Only here: the driver, which imports this module too, needs no torch.
        from jobs.pipeline.scoring.scorer import ShardScorer

        try:
            self._scorer = ShardScorer(plan)
        except (OSError, ValueError, ImportError) as error:
            where = f"encoder.name_or_path={plan.checkpoint.name_or_path}"
            raise CallError(f"{where}: cannot be loaded: {error}") from error
        context = ray.get_runtime_context()
        return Place(
            node=context.get_node_id(),
            gpus=list(context.get_accelerator_ids().get("GPU", [])),
            device=str(self._scorer.device),
            pid=os.getpid(),
        )

    def encode_references(self, url: str) -> tuple[list[ReferenceEntry], Tokens]:
        """Encode a reference shard: the index of it, and the tokens, as two objects."""
        assert self._scorer is not None
        return self._scorer.encode_references(url)

    def use_references(self, index: ReferenceIndex, homes: dict[str, Any]) -> None:
        """Score against these; `homes` tells in which object a reference's tokens are."""
        assert self._scorer is not None

        # Within a node the object store lends its memory: nothing is copied.
        opened: Any = lru_cache(maxsize=OPEN_REFERENCE_SHARDS)(ray.get)
        self._scorer.use_references(index, lambda key: opened(homes[key])[key])

    @ray.method(concurrency_group="shards")
    def score_shard(self, shard: Shard) -> ShardReport:
        """Score a shard and commit its part."""
        assert self._scorer is not None
        return self._scorer.score_shard(shard)

    @ray.method(concurrency_group="progress")
    def progress(self) -> dict[str, Counts]:
        """The rows so far of the shards at hand, by id; answers while they are being scored."""
        return dict(self._scorer.counts) if self._scorer else {}


def start_worker(layout: Layout) -> Any:
    """A new worker actor, with a device of its own where there are GPUs."""
    return Worker.options(  # type: ignore[attr-defined]
        num_gpus=layout.gpus,
        num_cpus=layout.cpus,
        scheduling_strategy="SPREAD",
        runtime_env={"env_vars": allocator.ENVIRONMENT},
    ).remote()
