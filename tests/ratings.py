"""Human ratings with published agreement, where they are there."""

from __future__ import annotations

import os
from pathlib import Path

RATINGS = Path(
    os.environ.get("MASC_RATINGS", Path(__file__).parents[2] / "shared" / "data" / "ratings")
)
RATED = RATINGS / "imagenhub_subject_driven.csv"
METRICS = RATINGS / "imagenhub_subject_driven_metrics.csv"
WHY_NOT = f"no ratings in {RATINGS}; MASC_RATINGS names a folder of them"


def are_there() -> bool:
    """Whether this machine has them."""
    return RATED.is_file() and METRICS.is_file()
