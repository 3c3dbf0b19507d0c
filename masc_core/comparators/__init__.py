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
    "hpsv3": "masc_core.comparators.hpsv3:hpsv3",
    "vqascore": "masc_core.comparators.vqascore:vqascore",
    "dreamsim": "masc_core.comparators.dreamsim:dreamsim",
    "imagereward": "masc_core.comparators.imagereward:imagereward",
    "cp.masked_maxcos@dinov3_b": "masc_core.comparators.patch_scores:dinov3_b",
    "cp.global_maxcos@dinov3_b": "masc_core.comparators.patch_scores:dinov3_b",
    "cp.weighted_maxcos@dinov3_b": "masc_core.comparators.patch_scores:dinov3_b",
    "cp.recall_fg@dinov3_b": "masc_core.comparators.patch_scores:dinov3_b",
    "cp.masked_maxcos@siglip2_b": "masc_core.comparators.patch_scores:siglip2_b",
    "cp.global_maxcos@siglip2_b": "masc_core.comparators.patch_scores:siglip2_b",
    "cp.weighted_maxcos@siglip2_b": "masc_core.comparators.patch_scores:siglip2_b",
    "cp.recall_fg@siglip2_b": "masc_core.comparators.patch_scores:siglip2_b",
    "dift_sdxl": "masc_core.comparators.dift:dift_sdxl",
    "cp.masked_maxcos@dift_sdxl": "masc_core.comparators.dift:dift_sdxl",
    "cp.global_maxcos@dift_sdxl": "masc_core.comparators.dift:dift_sdxl",
    "cp.weighted_maxcos@dift_sdxl": "masc_core.comparators.dift:dift_sdxl",
    "cp.recall_fg@dift_sdxl": "masc_core.comparators.dift:dift_sdxl",
    "pf.bg.stripped@clip_b": "masc_core.comparators.clip_pools:ClipPools",
    "pf.bg.full@clip_b": "masc_core.comparators.clip_pools:ClipPools",
    "pf.full.stripped@clip_b": "masc_core.comparators.clip_pools:ClipPools",
    "pf.full.full@clip_b": "masc_core.comparators.clip_pools:ClipPools",
    "pf.fg.stripped@clip_b": "masc_core.comparators.clip_pools:ClipPools",
    "pf.fg.full@clip_b": "masc_core.comparators.clip_pools:ClipPools",
    "lightglue.recall": "masc_core.comparators.lightglue:lightglue",
    "loftr.recall": "masc_core.comparators.loftr:loftr",
    "loftr.masked": "masc_core.comparators.loftr:loftr",
    "roma.recall": "masc_core.comparators.roma:roma",
    "roma.masked": "masc_core.comparators.roma:roma",
    "mast3r.recall": "masc_core.comparators.mast3r:mast3r",
    "mast3r.masked": "masc_core.comparators.mast3r:mast3r",
}
"""By the name that `metric.extra` uses, `module:callable`: imported when it is asked for, so that
nobody pays for what others use. It is called with the names that it is asked for by, and
`ComparatorSettings`; each name is that of a column, and may have NAME_per_reference beside it."""


def find_comparator(name: str) -> str | None:
    """What `COMPARATORS` has for a name, its argument left out; None for an unknown one.

    Whether the argument can be meant is known when the comparator is made.

    Example:
        >>> plain = find_comparator("cp.weighted_maxcos@dinov3_b")
        >>> find_comparator("cp.weighted_maxcos:16@dinov3_b") == plain
        True
    """
    column, at, backbone = name.partition("@")
    if at:  # only those that aggregate patch tokens take one
        column = column.partition(":")[0]
    return COMPARATORS.get(f"{column}{at}{backbone}")


def make_comparators(names: Sequence[str], settings: ComparatorSettings) -> Metric:
    """One metric for names of one class, which has loaded nothing.

    Raises:
        KeyError: an unknown name.
        ImportError: a package that it needs is not installed.
        ValueError: a setting that cannot be meant. Whether its checkpoint can be used is known
            when its `fingerprint` is asked for.
    """
    found = find_comparator(names[0])
    if found is None:
        raise KeyError(names[0])
    module, _, attribute = found.partition(":")
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

    if find_comparator(name) is None:
        raise ValueError(f"no such comparator {name!r}; known: {', '.join(COMPARATORS)}")
    metric = make_comparators([name], ComparatorSettings(**settings))
    metric.load()
    return LoadedComparator(metric)
