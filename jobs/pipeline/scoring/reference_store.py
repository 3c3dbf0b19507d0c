"""The references' patch tokens: encoded once a run, shared through the object store, kept on the
device while they are in use.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np
import torch

from jobs.pipeline.scoring.reference_index import ReferenceEntry, ReferenceIndex
from masc_core.metric import Reference

DEVICE_CACHE = 1024
"""References kept on the device: 5 GB of SO400M at 1024 patches, if their masks were full."""

Tokens = Mapping[str, np.ndarray]
"""Per key of a reference, float32 (R, D): its unit-length foreground patch tokens."""


class ReferenceStore:
    """Encoded references, brought to the device as they are asked for."""

    def __init__(
        self, index: ReferenceIndex, tokens: Callable[[str], np.ndarray], device: torch.device
    ) -> None:
        """Serve references of `index`; `tokens(key)` gives a reference's (R, D) patch tokens."""
        self.index = index
        self._tokens = tokens
        self._device = device
        self._cache: OrderedDict[str, Reference] = OrderedDict()

    def get(self, entry: ReferenceEntry) -> Reference:
        """The encoded reference."""
        if entry.key not in self._cache:
            self._cache[entry.key] = Reference(
                # A copy: what the object store lends is read-only.
                tokens=torch.tensor(self._tokens(entry.key), device=self._device),
                n_patches=entry.n_patches,
                fg_weight=entry.fg_weight,
                fg_fraction=entry.fg_fraction,
            )
            if len(self._cache) > DEVICE_CACHE:
                self._cache.popitem(last=False)
        self._cache.move_to_end(entry.key)
        return self._cache[entry.key]
