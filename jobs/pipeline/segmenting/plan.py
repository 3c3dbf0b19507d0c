"""What workers are told of segmenting."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jobs.pipeline.errors import CallError
from jobs.pipeline.networks import Networks
from masc_core.mask_names import GIVEN
from masc_core.segmenters.protocol import Segmenter

if TYPE_CHECKING:
    from jobs.pipeline.segmenting.shard_segmenter import ShardSegmenter


@dataclass(frozen=True)
class SegmentingPlan:
    """What is done to every shard."""

    out: str
    """Directory, local or on object storage, of the shards with masks."""
    segmenter: Segmenter
    """Not loaded."""
    max_image_pixels: int
    member: str = GIVEN
    """The name of the mask that is made: `given`, or NAME for `mask.NAME.png`."""

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything that changes what is written; equal ones give equal shards."""
        own = self.segmenter.fingerprint()
        return {
            **{f"segmenter.{setting}": value for setting, value in own.items()},
            "member": self.member,
            "limits.max_image_pixels": self.max_image_pixels,
        }


SEGMENTERS = "segmenters"
"""The kind of networks that segmenting keeps in a worker."""


def load_segmenting(
    plan: SegmentingPlan,
    threads: int,
    batch_size: int | None,
    networks: Networks | None = None,
) -> ShardSegmenter:
    """Load the segmenter of a plan; called in a worker.

    Args:
        threads: that compute, and as many that decode beside them.
        batch_size: samples a batch; None goes by the device's memory.
        networks: of the worker; a segmenter that is among them is not loaded again.

    Raises:
        CallError: a checkpoint cannot be used.
    """
    # Progress bars of N workers over one another tell nobody anything.
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    from jobs.pipeline.segmenting.shard_segmenter import ShardSegmenter

    networks = networks or Networks()
    name = (plan.segmenter.name, json.dumps(plan.segmenter.fingerprint(), sort_keys=True))
    before = networks.take(SEGMENTERS).get(name)
    plan = replace(plan, segmenter=before or plan.segmenter)
    segmenter = ShardSegmenter(plan, threads, batch_size)
    try:
        segmenter.load(is_loaded=before is not None)
    except (OSError, ValueError, ImportError) as error:
        raise CallError(f"segmenter.name={plan.segmenter.name}: {error}") from error
    networks.put(SEGMENTERS, {name: plan.segmenter})
    return segmenter
