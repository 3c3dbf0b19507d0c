"""Metrics other than MaSC, with a network of their own: one file each, and a name in
`COMPARATORS`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from masc_core import defaults

if TYPE_CHECKING:
    from masc_core.protocol import Metric

COMPARATORS: dict[str, str] = {}
"""By the name that `metric.extra` uses, `module:class`: imported when it is asked for, so that
nobody pays for what others use. The class is called with the names that it is asked for by, and
`ComparatorSettings`; each name is that of a column, and may have NAME_per_reference beside it."""


@dataclass(frozen=True)
class ComparatorSettings:
    """How a comparator is asked for; None stands for what its authors published."""

    name_or_path: str | None = None
    """Its checkpoint: a directory or a hub id."""
    revision: str | None = None
    dtype: defaults.Dtype | None = None
    """Of its network; None is float32."""
    reference_reduction: defaults.ReferenceReduction = "mean"
    """How its values for several references become one, NaN left out."""


PUBLISHED = ComparatorSettings()


def make_comparators(names: Sequence[str], settings: ComparatorSettings) -> Metric:
    """One metric for names of one class, which has loaded nothing.

    Raises:
        KeyError: an unknown name.
        ImportError: a package that it needs is not installed.
        OSError, ValueError: its checkpoint cannot be used.
    """
    module, _, attribute = COMPARATORS[names[0]].partition(":")
    metric: Metric = getattr(import_module(module), attribute)(tuple(names), settings)
    return metric
