"""What is particular to scoring: typed, each default once."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.pipeline.command.settings import setting
from masc_core import defaults
from masc_core.columns import known_columns
from masc_core.comparators import COMPARATORS
from masc_core.mask_names import GIVEN


@dataclass
class EncoderConfig:
    name_or_path: str = setting(
        defaults.CHECKPOINT, "SigLIP or SigLIP2 checkpoint: a directory or a hub id; or demo, ours"
    )
    revision: str | None = setting(None, "hub branch, tag or commit; null is the default branch")
    dtype: defaults.Dtype = setting("float32", "precision of the vision tower")
    max_num_patches: int = setting(
        defaults.MAX_NUM_PATCHES, "patch budget of a NaFlex encoder; fixed-size ones ignore it"
    )
    compile: bool = setting(False, "torch.compile the vision tower")
    trust_remote_code: bool = setting(
        False, "let a checkpoint that asks for Python code of its own run it on every worker"
    )


def known_extras() -> list[str]:
    """The names that `metric.extra` takes."""
    return [*known_columns(), *COMPARATORS]


def _help_of_extra() -> str:
    return f"further columns, each a name of: {', '.join(known_extras()) or 'none yet'}"


@dataclass
class MetricConfig:
    fg_threshold: float = setting(
        defaults.FG_THRESHOLD, "mask weight from which a patch is foreground"
    )
    stripper: defaults.Stripper = setting(
        "regex", "how the subject leaves the prompt; spacy needs the extra `spacy`"
    )
    spacy_model: str = setting(
        defaults.SPACY_MODEL, "the pipeline of stripper=spacy: a package or a directory"
    )
    reference_reduction: defaults.ReferenceReduction = setting(
        "mean", "how CP against several references becomes one number"
    )
    min_fg_fraction: float = setting(
        0.0, "skip a pair when a mask covers this share of its pixels or less; 0 skips none"
    )
    masks: list[str] = setting(
        [GIVEN],
        "what plays the mask: given, NAME of mask.NAME.png, dilate:PX, erode:PX, drop:SHARE",
    )
    extra: list[str] = setting([], _help_of_extra)


@dataclass
class ComparatorConfig:
    name_or_path: str | None = setting(
        None, "its checkpoint: a directory or a hub id; null is the published one"
    )
    revision: str | None = setting(None, "hub branch, tag or commit; null is the default branch")
    dtype: defaults.Dtype | None = setting(None, "precision; null is the published one")
    own_pass: bool | None = setting(
        None, "true: scored alone, after the others; false: beside the encoder; null: by its size"
    )
    source: str | None = setting(
        None, "its authors' code, for one whose code is on no package index: a directory"
    )
