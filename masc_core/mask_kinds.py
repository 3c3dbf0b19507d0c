"""The masks that are made from the given one, and the members, brought to the patch grid."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np
import torch

from masc_core.mask_names import GIVEN
from masc_core.masks import dilated, eroded, foreground_fraction, mask_weights


def _dilate(given: np.ndarray, grid: tuple[int, int], amount: float, key: str) -> torch.Tensor:
    return mask_weights(dilated(given, int(amount)), grid)


def _erode(given: np.ndarray, grid: tuple[int, int], amount: float, key: str) -> torch.Tensor:
    return mask_weights(eroded(given, int(amount)), grid)


def _drop(given: np.ndarray, grid: tuple[int, int], amount: float, key: str) -> torch.Tensor:
    """The same patches for the same key; those of a smaller share are among those of a larger."""
    weights = mask_weights(given, grid)
    foreground = np.flatnonzero(weights.numpy() >= 0.5)
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    order = np.random.default_rng(seed).permutation(foreground)
    weights[torch.from_numpy(order[: round(amount * len(order))])] = 0.0
    return weights


def derived_fraction(name: str, given: np.ndarray, weights: torch.Tensor) -> float:
    """The share in [0, 1] that a derived mask covers: of the pixels, and of the patches for `drop`,
    which has no pixels.

    Args:
        given: (H, W), which it is made from.
        weights: (N,), what was made of it.
    """
    kind, _, amount = name.partition(":")
    if kind == "drop":
        return float((weights >= 0.5).float().mean())
    change = {"dilate": dilated, "erode": eroded}[kind]
    return foreground_fraction(change(given, int(amount)))


Derive = Callable[[np.ndarray, tuple[int, int], float, str], torch.Tensor]
"""Of the mask (H, W), the patch grid, the amount and the sample's key: weights float32 (Hp *
Wp,)."""

DERIVED: dict[str, Derive] = {"dilate": _dilate, "erode": _erode, "drop": _drop}
"""Masks that are made from the given one, by the name before the colon."""


def weights_of(
    name: str, masks: Mapping[str, np.ndarray], grid: tuple[int, int], key: str
) -> torch.Tensor:
    """The weights (Hp * Wp,) of the mask of this name.

    Args:
        masks: (H, W) by their names: the given one, and members.

    Raises:
        ValueError: the sample has no such member.
    """
    kind, colon, amount = name.partition(":")
    if colon:
        return DERIVED[kind](masks[GIVEN], grid, float(amount), key)
    if name not in masks:
        raise ValueError(f"mask.{name}.png: there is none")
    return mask_weights(masks[name], grid)
