"""Everything that changes a score, as flat mappings: equal fingerprints mean comparable scores.

What a part holds is fingerprinted by group: MaSC's columns are one, and each comparator's another.
A group stands, is added and is refused by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Fingerprint = Mapping[str, Any]
"""Values in JSON's types. One that is None is not known yet, and is not compared."""

Groups = Mapping[str, Fingerprint]
"""Fingerprints by the name of their group."""

MASC = "masc"
"""The group of CP, PF, and whatever else comes from the same forward."""

FORMAT = 2
"""Of footers and `run.json`. In 1 there was one flat fingerprint, without groups."""

_OF_MASC = frozenset({"encoder", "metric", "limits"})
_NOT_COMPARED = frozenset({"references", "metric.masks", "metric.extra"})
"""Keys of format 1 that are no longer a fingerprint's: columns speak for themselves, and
references are known by concept."""


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


def differing_groups(ours: Groups, theirs: Groups) -> list[str]:
    """As `differing`, of the groups that both have; keys are named by their group, but for MaSC's.

    >>> differing_groups({"clip_i": {"dtype": "float16"}}, {"clip_i": {"dtype": "float32"}})
    ["clip_i.dtype is 'float16', there 'float32'"]
    """
    return [
        difference if group == MASC else f"{group}.{difference}"
        for group, own in ours.items()
        if group in theirs
        for difference in differing(own, theirs[group])
    ]


def groups_of(found: object, format_version: object) -> dict[str, dict[str, Any]]:
    """The groups that a footer or `run.json` tells of, whatever its format; none where it is odd.

    One of format 1 is MaSC's, but for keys that begin with a comparator's name.
    """
    if not isinstance(found, dict):
        return {}
    if found and all(isinstance(value, dict) for value in found.values()):
        return found
    if isinstance(format_version, int) and format_version >= FORMAT:
        return {}
    groups: dict[str, dict[str, Any]] = {}
    for key, value in found.items():
        if key in _NOT_COMPARED:
            continue
        head, dot, rest = key.partition(".")
        if dot and head not in _OF_MASC:
            groups.setdefault(head, {})[rest] = value
        else:
            groups.setdefault(MASC, {})[key] = value
    return groups


def _is_unknown(key: str, *fingerprints: Fingerprint) -> bool:
    return any(key in each and each[key] is None for each in fingerprints)
