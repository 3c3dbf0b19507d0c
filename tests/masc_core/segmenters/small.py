"""The four segmenters with small checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIRST_NETWORK = {
    "clipseg": "clipseg",
    "sam3": "sam3",
    "grounded_sam2": "grounding_dino",
    "owlv2_sam2": "owlv2",
}

TWO_STAGE = ("grounded_sam2", "owlv2_sam2")


def small_settings(name: str, checkpoints: Mapping[str, str], **others: Any) -> dict[str, Any]:
    """In float32, with the published thresholds."""
    settings = {"name_or_path": checkpoints[FIRST_NETWORK[name]], "dtype": "float32", **others}
    if name in TWO_STAGE:
        settings["sam2_name_or_path"] = checkpoints["sam2"]
    return settings
