"""Which segmenter, from where, and with which thresholds: typed, each default once."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from jobs.pipeline.command.settings import setting
from jobs.pipeline.errors import CallError
from masc_core.segmenters import SEGMENTERS, make_segmenter
from masc_core.segmenters.protocol import Segmenter


@dataclass
class SegmenterConfig:
    """What is null is as the segmenter's authors published it."""

    name: str = setting("sam3", lambda: f"one of {', '.join(SEGMENTERS)}")
    name_or_path: str | None = setting(None, "its checkpoint: directory or hub id")
    revision: str | None = setting(None, "branch, tag or commit on the hub")
    dtype: str | None = setting(None, "float32, bfloat16 or float16")
    score_threshold: float | None = setting(None, "sam3: confidence of an instance, over 0.5")
    box_threshold: float | None = setting(None, "score of a box: over 0.3, for owlv2_sam2 over 0.2")
    text_threshold: float | None = setting(None, "grounded_sam2: score of a word, over 0.25")
    mask_threshold: float | None = setting(None, "of a mask's values: over 0.5, SAM 2's over 0")
    sam2_name_or_path: str | None = setting(None, "the checkpoint of the second stage")
    sam2_revision: str | None = setting(None, "its branch, tag or commit on the hub")


DTYPES = (None, "float32", "bfloat16", "float16")


def segmenter_asked(config: SegmenterConfig) -> Segmenter:
    """The segmenter of a configuration, which has loaded nothing.

    Raises:
        CallError: an unknown name, or a setting that it does not have.
    """
    if config.dtype not in DTYPES:
        raise CallError(f"segmenter.dtype={config.dtype}: expected float32, bfloat16 or float16")
    settings = {name: value for name, value in asdict(config).items() if value is not None}
    try:
        return make_segmenter(**settings)
    except ValueError as error:
        raise CallError(str(error)) from error
