"""Which of the two questions a column answers: is it the concept, and does it follow the prompt."""

from __future__ import annotations

import re

CP, PF = "cp", "pf"
ASPECTS = (CP, PF)
MASC = "masc"
"""What the run's own CP, and its own PF, are called among other metrics."""
WITH_IMAGES = frozenset(
    {"clip_i", "dino_i", "dinov3", "siglip2_global", "am_radio", "dreamsim", "dift_sdxl"}
)
WITH_TEXTS = frozenset({"clip_t", "siglip2_t", "vqascore", "imagereward", "hpsv3"})
MATCHES = frozenset({"lightglue", "loftr", "roma", "mast3r"})
"""Matchers of images: their columns are named after them and a form, as in `loftr.recall`."""
NO_ANSWERS = frozenset({"cp.leak"})
"""Columns that are neither: high where a reference was copied, which people are not asked about."""
_OF_MASC = re.compile(r"(cp|pf)(@.*)?")


def aspect_of(column: str) -> str | None:
    """By its name; None where that does not say.

    >>> aspect_of("cp@dilate:5"), aspect_of("clip_t"), aspect_of("mine")
    ('cp', 'pf', None)
    >>> aspect_of("loftr.masked")
    'cp'
    """
    if column in WITH_IMAGES or column.partition(".")[0] in MATCHES or re.match(r"cp\b", column):
        return CP
    if column in WITH_TEXTS or re.match(r"pf\b", column):
        return PF
    return None


def row_name(column: str) -> str:
    """What a column of a run is called among other metrics.

    >>> row_name("cp"), row_name("pf@sam"), row_name("cp.global_maxcos")
    ('masc', 'masc@sam', 'cp.global_maxcos')
    """
    found = _OF_MASC.fullmatch(column)
    return f"{MASC}{found[2] or ''}" if found else column
