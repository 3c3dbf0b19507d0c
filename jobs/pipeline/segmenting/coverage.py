"""What became of a shard's samples, and how much of their images the masks cover."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import starmap
from typing import Any

import numpy as np

from jobs.pipeline.run.reports import FirstError, RowCounts, Warned

N_BINS = 20
"""Of the histogram: 5 % of an image each."""

EMPTY, FULL = "empty mask", "mask of the whole image"


@dataclass
class SegmentedCounts:
    """Of one shard."""

    segmented: int = 0
    """Samples that were given a mask."""
    kept: int = 0
    """Those that had that member already; what they had is not looked at."""
    errors: dict[str, str] = field(default_factory=dict)
    """By key, why a sample has no mask."""
    empty: int = 0
    full: int = 0
    coverage: list[int] = field(default_factory=lambda: [0] * N_BINS)
    """Masks by the share of their image that is foreground: [0, 0.05), ... [0.95, 1]."""
    coverage_sum: float = 0.0
    examples: dict[str, str] = field(default_factory=dict)
    """The first key of each suspicious kind."""

    def add(self, key: str, mask: np.ndarray) -> None:
        """Count a mask, (H, W) uint8 of 0 and 255."""
        share = float(np.count_nonzero(mask) / mask.size)
        self.segmented += 1
        self.coverage[min(int(share * N_BINS), N_BINS - 1)] += 1
        self.coverage_sum += share
        if share == 0:
            self.empty += 1
            self.examples.setdefault(EMPTY, key)
        elif share == 1:
            self.full += 1
            self.examples.setdefault(FULL, key)

    def fail(self, key: str, reason: str) -> None:
        """Count a sample without a mask; a key that comes twice is one error."""
        self.errors.setdefault(key, reason)

    @property
    def rows(self) -> RowCounts:
        """As the driver counts: done, left as it was, failed."""
        return RowCounts(self.segmented, self.kept, len(self.errors))

    @property
    def first_error(self) -> FirstError | None:
        """The first sample without a mask, and why."""
        return next(starmap(FirstError, self.errors.items()), None)

    def warnings(self) -> dict[str, Warned]:
        """What is suspicious, by its kind."""
        found = {EMPTY: self.empty, FULL: self.full}
        return {kind: Warned(n, self.examples[kind]) for kind, n in found.items() if n}

    def described(self) -> dict[str, Any]:
        """In JSON's types."""
        rows = self.rows
        return {
            "n": rows.total,
            "n_segmented": self.segmented,
            "n_kept": self.kept,
            "n_error": rows.error,
            "n_empty": self.empty,
            "n_full": self.full,
            "coverage_mean": self.coverage_sum / self.segmented if self.segmented else None,
            "coverage_histogram": self.coverage,
            "errors": self.errors,
        }
