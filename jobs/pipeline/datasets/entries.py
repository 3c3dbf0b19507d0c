"""What a data set gives to be packed, whatever it looks like on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

GENERATION = "generation"

REFERENCE = "reference"

ROLES = (GENERATION, REFERENCE)


@dataclass(frozen=True)
class Entry:
    """One sample to pack."""

    role: str
    key: str
    image: Path
    mask: Path
    fields: dict[str, Any]
    """What goes into the sample's JSON."""


def suffix_of(path: Path) -> str:
    """The suffix of a file's name as a member has it: in lower case, without its dot."""
    return path.suffix.lstrip(".").lower()
