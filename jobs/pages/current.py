"""Whether the figures of a page are those that a run's own `summary/` has."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.pipeline.results.summary import Summary
from jobs.pipeline.storage.filesystem import join, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries

CLOSE = 1e-9
"""By as much the sum of the same numbers may differ, added up in another order."""


def differences_from_summary(runs: Sequence[str], summary: Summary) -> list[str]:
    """What there is to say of a run whose `summary/` says otherwise; of several runs nothing.

    Raises:
        StorageError: it cannot be read.
    """
    if len(runs) != 1:
        return []
    [run] = runs
    fs, path = open_filesystem(join(run, "summary", "summary.json"), keeps_listings=False)
    try:
        found = json.loads(with_retries(redact(path), lambda: fs.cat_file(path)))
    except (FileNotFoundError, ValueError):
        return []
    ours = summary.document()
    if not isinstance(found, dict):
        return []
    if found.get("counts") == ours["counts"] and _are_close(found.get("models"), ours["models"]):
        return []
    return [
        "summary/ is of other rows than this page; jobs.reduce writes it anew from those that are "
        "there"
    ]


def _are_close(theirs: Any, ours: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the means of all models are the same; columns that one has gained do not count."""
    if not isinstance(theirs, list) or len(theirs) != len(ours):
        return False
    by_name = {row.get("model"): row for row in theirs if isinstance(row, dict)}
    for row in ours:
        other = by_name.get(row["model"])
        if other is None:
            return False
        for name in ("cp_mean", "pf_mean"):
            one, another = row[name], other.get(name)
            if one is None or another is None:
                if one is not another:
                    return False
            elif not math.isclose(one, another, rel_tol=0, abs_tol=CLOSE):
                return False
    return True
