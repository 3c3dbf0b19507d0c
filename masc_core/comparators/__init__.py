"""Metrics other than MaSC, with a network of their own: one file each, and a name in
`COMPARATORS`.

In a notebook:

    clip_i = load_comparator("clip_i")
    clip_i(generation, [photo, another])

`LoadedComparator` says what else such a call takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from masc_core.comparators.settings import PUBLISHED, ComparatorSettings

if TYPE_CHECKING:
    from masc_core.comparators.calling import LoadedComparator
    from masc_core.protocol import Metric

__all__ = [
    "COMPARATORS",
    "PUBLISHED",
    "ComparatorSettings",
    "load_comparator",
    "make_comparators",
]

COMPARATORS: dict[str, str] = {
    "clip_i": "masc_core.comparators.clip:ClipScores",
    "clip_t": "masc_core.comparators.clip:ClipScores",
    "dino_i": "masc_core.comparators.dino_i:dino_i",
    "dinov3": "masc_core.comparators.dinov3:dinov3",
    "am_radio": "masc_core.comparators.am_radio:am_radio",
}
"""By the name that `metric.extra` uses, `module:callable`: imported when it is asked for, so that
nobody pays for what others use. It is called with the names that it is asked for by, and
`ComparatorSettings`; each name is that of a column, and may have NAME_per_reference beside it."""


def make_comparators(names: Sequence[str], settings: ComparatorSettings) -> Metric:
    """One metric for names of one class, which has loaded nothing.

    Raises:
        KeyError: an unknown name.
        ImportError: a package that it needs is not installed.
        ValueError: a setting that cannot be meant. Whether its checkpoint can be used is known
            when its `fingerprint` is asked for.
    """
    module, _, attribute = COMPARATORS[names[0]].partition(":")
    metric: Metric = getattr(import_module(module), attribute)(tuple(names), settings)
    return metric


def load_comparator(name: str, **settings: Any) -> LoadedComparator:
    """A comparator to call, on the best device that there is.

    Args:
        name: of `COMPARATORS`.
        settings: the fields of `ComparatorSettings`.

    Raises:
        ValueError: an unknown name, or a setting that cannot be meant.
        OSError, ValueError: its checkpoint cannot be used.
        ImportError: a package that it needs is not installed.
    """
    from masc_core.comparators.calling import LoadedComparator

    if name not in COMPARATORS:
        raise ValueError(f"no such comparator {name!r}; known: {', '.join(COMPARATORS)}")
    metric = make_comparators([name], ComparatorSettings(**settings))
    metric.load()
    return LoadedComparator(metric)
