"""What the metrics keep of the references: encoded once a run, shared through the object store,
held on the device while it is in use.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from jobs.pipeline.scoring.reference_index import ReferenceEntry, ReferenceIndex
from masc_core.protocol import EncodedReference, Features, Metric

DEVICE_CACHE = 1024
"""References kept on a metric's device: 5 GB of SO400M at 1024 patches, if their masks were
full."""

Stored = Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]
"""Of a reference shard: by the reference's key and the metric's name, its features by name."""


def storable(features: Features) -> dict[str, np.ndarray]:
    """Features as the object store shares them without copies."""
    return {name: tensor.cpu().numpy() for name, tensor in features.items()}


class ReferenceStore:
    """Encoded references, brought to the metrics' devices as they are asked for."""

    def __init__(
        self,
        index: ReferenceIndex,
        fetch: Callable[[int], Stored],
        metrics: Sequence[Metric],
    ) -> None:
        """Serve the references of `index`; `fetch(i)` gets what is stored of shard i."""
        self.index = index
        self._fetch = fetch
        self._metrics = metrics
        self._cached: list[OrderedDict[str, EncodedReference]] = [OrderedDict() for _ in metrics]

    def get(self, number: int, entry: ReferenceEntry) -> EncodedReference:
        """The reference as the metric of this number encoded it."""
        cached = self._cached[number]
        if entry.key not in cached:
            metric = self._metrics[number]
            stored = self._fetch(self.index.shard_number[entry.key])[entry.key][metric.name]
            features = {
                # A copy: what the object store lends is read-only.
                name: torch.tensor(array, device=metric.device)
                for name, array in stored.items()
            }
            cached[entry.key] = EncodedReference(entry.key, features)
            if len(cached) > DEVICE_CACHE:
                cached.popitem(last=False)
        cached.move_to_end(entry.key)
        return cached[entry.key]
