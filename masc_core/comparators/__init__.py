"""Metrics other than MaSC, with a network of their own: one file each, and a name in
`COMPARATORS`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from masc_core.protocol import Metric

COMPARATORS: dict[str, str] = {}
"""By the name that `metric.extra` uses, `module:class`: imported when it is asked for, so that
nobody pays for what others use. The class is called without arguments."""


def make_comparator(name: str) -> Metric:
    """A comparator that has loaded nothing.

    Raises:
        KeyError: an unknown name.
        ImportError: a package that it needs is not installed.
    """
    module, _, attribute = COMPARATORS[name].partition(":")
    metric: Metric = getattr(import_module(module), attribute)()
    return metric
