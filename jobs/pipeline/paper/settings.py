"""How the paper is asked for, and what a recipe says of a table: typed, each default once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jobs.pipeline.cluster.config import LimitsConfig, RayConfig, WorkersConfig
from jobs.pipeline.command.settings import section, setting, table
from jobs.pipeline.scoring.config import ComparatorConfig, EncoderConfig
from masc_core.segmenters import SEGMENTERS

DREAMBENCHPLUS, ORIDA = "dreambenchplus", "orida"
DataSet = Literal["dreambenchplus", "orida"]
ALPHA, AUC, TIME = "alpha", "auc", "time"
Figure = Literal["alpha", "auc", "time"]

DATA_OF = {ALPHA: DREAMBENCHPLUS, AUC: ORIDA, TIME: DREAMBENCHPLUS}
"""The data set that each figure is of."""


@dataclass
class RowConfig:
    """A row of a table."""

    system: str = setting(
        help="column of a run (cp, cp@dilate:5, dino_i); human; or NAME (shipped), as gpt4o"
    )
    minus: str | None = setting(None, "column whose figure is taken from that of the first")
    published: float | None = setting(None, "the paper's figure; null where it has none")


@dataclass
class RecipeConfig:
    """A table of the paper."""

    title: str = setting(help="of the table")
    figure: Figure = setting(
        help="alpha, agreement with DreamBench++'s people; auc, of ORIDa's pairs; time, of one pair"
    )
    aspect: Literal["cp", "pf"] = setting("cp", "of alpha: what people were asked")
    published_n: int | None = setting(
        None, "keys, or pairs, that the published figures are over; it is said where ours are not"
    )
    min_fg_fraction: float = setting(
        0.0, "metric.min_fg_fraction of jobs.evaluate: pairs with a smaller mask are left out"
    )
    segmenter: str | None = setting(
        None, lambda: f"makes masks of images that have none: {', '.join(SEGMENTERS)}"
    )
    moves: bool = setting(False, "say how far each mask moves each sample's score and rank")
    rows: dict[str, RowConfig] = table("the systems, by the names that the paper gives them")


@dataclass
class SegmenterCheckpointConfig:
    name_or_path: str | None = setting(None, "its checkpoint: a directory or a hub id")
    revision: str | None = setting(None, "branch, tag or commit on the hub")
    dtype: str | None = setting(None, "float32, bfloat16 or float16")
    sam2_name_or_path: str | None = setting(None, "the checkpoint of the second stage")
    sam2_revision: str | None = setting(None, "its branch, tag or commit on the hub")


@dataclass
class PaperConfig:
    data: str = setting(help="directory with dreambenchplus/ and orida/ in it, or one of them")
    out: str = setting("paper", "directory of shards, runs, paper.md and paper.html")
    recipes: list[str] = setting(
        [], "names of conf/paper/*.yaml, or files of one's own; none means all, in their order"
    )
    encoder: EncoderConfig = section(EncoderConfig)
    comparators: dict[str, ComparatorConfig] = table(
        "the checkpoint of a comparator, as comparators.NAME.name_or_path=...; null is its own"
    )
    segmenters: dict[str, SegmenterCheckpointConfig] = table(
        "the checkpoint of a segmenter, as segmenters.NAME.name_or_path=...; null is its own"
    )
    workers: WorkersConfig = section(WorkersConfig)
    ray: RayConfig = section(RayConfig)
    limits: LimitsConfig = section(LimitsConfig)
