"""`python -m tests.comparators.evaluate`: `jobs.evaluate`, with the toys in the table."""

from __future__ import annotations

import sys

from jobs.evaluate import main
from masc_core.comparators import COMPARATORS
from tests.comparators import TOYS

if __name__ == "__main__":
    COMPARATORS.update(TOYS)
    sys.exit(main())
