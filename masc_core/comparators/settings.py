"""How a comparator is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from masc_core import defaults


@dataclass(frozen=True)
class ComparatorSettings:
    """Settings of a comparator; None stands for what its authors published."""

    name_or_path: str | None = None
    """Its checkpoint: a directory or a hub id."""
    revision: str | None = None
    dtype: defaults.Dtype | None = None
    """Of its network; None is float32, but where a comparator says otherwise."""
    reference_reduction: defaults.ReferenceReduction = "mean"
    """How its values for several references become one, NaN left out."""
    fg_threshold: float = defaults.FG_THRESHOLD
    """Mask weight above which a patch is foreground, for those that use masks."""
    stripper: defaults.Stripper = "regex"
    """How the subject leaves the prompt, for those that take it out; see `strip_subject`."""
    spacy_model: str = defaults.SPACY_MODEL
    source: str | None = None
    """A directory with its authors' code, for one whose code is on no package index."""


def settings_key(name: str) -> str:
    """Under which name of `comparators` its settings are: its own, that of the backbone whose
    patch tokens it aggregates, or that of the matcher whose form it is.

    Example:
        >>> settings_key("clip_i"), settings_key("cp.recall_fg@dinov3_b")
        ('clip_i', 'dinov3_b')
        >>> settings_key("pf.bg.stripped@clip_b")
        'clip_b'
        >>> settings_key("loftr.recall")
        'loftr'
    """
    return name.rpartition("@")[2].partition(".")[0]


PUBLISHED = ComparatorSettings()
