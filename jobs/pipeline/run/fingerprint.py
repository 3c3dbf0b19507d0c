"""Everything that changes a score, as a flat mapping: equal fingerprints mean comparable scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Fingerprint = Mapping[str, Any]
"""Values in JSON's types. One that is None is not known yet, and is not compared."""


def differing(ours: Fingerprint, theirs: Fingerprint) -> list[str]:
    """The keys in which two fingerprints differ, each with both values.

    >>> differing({"encoder.dtype": "bfloat16", "references": None}, {"encoder.dtype": "float32"})
    ["encoder.dtype is 'bfloat16', there 'float32'"]
    """
    keys = [
        key
        for key in {**ours, **theirs}
        if not _is_unknown(key, ours, theirs) and ours.get(key) != theirs.get(key)
    ]
    return [f"{key} is {ours.get(key)!r}, there {theirs.get(key)!r}" for key in keys]


def _is_unknown(key: str, *fingerprints: Fingerprint) -> bool:
    return any(key in each and each[key] is None for each in fingerprints)
