"""The names that `metric.masks` takes; cheap to import (no torch)."""

from __future__ import annotations

import math

GIVEN = "given"
"""The mask that a sample comes with."""

MAX_RADIUS = 1000
"""Pixels."""

EXAMPLES = {"dilate": "5", "erode": "5", "drop": "0.1"}
"""Amounts of the masks that are made from the given one, by the name before the colon."""


def check_mask_name(name: str) -> None:
    """Whether `metric.masks` may hold this name.

    Raises:
        ValueError: a derived mask without its amount, or with one out of range; or no name of a
            member.
    """
    kind, colon, amount = name.partition(":")
    if not colon:
        if kind in EXAMPLES:
            raise ValueError(f"{name}: needs an amount, as in {kind}:{EXAMPLES[kind]}")
        if not kind or "." in kind or "/" in kind or kind != kind.lower():
            raise ValueError(f"{name!r}: not the NAME of a member mask.NAME.png (lower case)")
        return
    if kind not in EXAMPLES:
        raise ValueError(f"{name}: no such mask; {', '.join(EXAMPLES)} take an amount")
    try:
        value = float(amount)
    except ValueError:
        value = -1.0
    is_whole = value == int(value) if math.isfinite(value) else False
    if value > 0 and math.isfinite(value) and amount != f"{value:g}":
        raise ValueError(f"{name}: one column has one name; write {kind}:{value:g}")
    if kind == "drop":
        if not 0 < value <= 1:
            raise ValueError(f"{name}: expected a share over 0 and up to 1, as in drop:0.1")
    elif not (is_whole and 1 <= value <= MAX_RADIUS and amount.isdigit()):
        raise ValueError(f"{name}: expected pixels, 1 to {MAX_RADIUS}, as in {kind}:5")


def is_member(name: str) -> bool:
    """Whether the mask is a member of the sample, `mask.NAME.png`."""
    return name != GIVEN and ":" not in name
