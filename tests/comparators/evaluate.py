"""`python -m tests.comparators.evaluate`: `jobs.evaluate`, with two comparators more in the
table."""

from __future__ import annotations

import sys

from jobs.evaluate import main
from masc_core.comparators import COMPARATORS

COMPARATORS["mean_colour"] = "tests.comparators.mean_colour:MeanColour"
COMPARATORS["tones"] = "tests.comparators.tones:Tones"

if __name__ == "__main__":
    sys.exit(main())
