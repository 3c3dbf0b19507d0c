"""The gallery of the report: which samples, their pictures, and where their scores come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.pages.gallery_items import Gallery
from jobs.pipeline.command.settings import setting
from jobs.pipeline.run.scores import Scores

AUTO, ON, OFF = "auto", "on", "off"


@dataclass
class GalleryConfig:
    """Fields of the report's own settings."""

    gallery: int = setting(24, "samples to show with their images; 0 shows none")
    heatmaps: str = setting(
        AUTO, "where scores come from, by the encoder: on, off; auto is where it can be loaded"
    )
    assets: str | None = setting(
        None, "folder beside the page for full images, by its name; null keeps thumbnails alone"
    )
    seed: int = setting(0, "of the random samples among those that are shown")


@dataclass(frozen=True)
class OpenedRun:
    """A run whose rows are open."""

    url: str
    scores: Scores
    """As `open_counted` gives them."""


def build_gallery(
    runs: Sequence[OpenedRun], baseline: OpenedRun | None, config: GalleryConfig
) -> Gallery:
    """Choose samples, and get their pictures by ranged reads.

    What cannot be had (shards that are gone, an encoder) is a note, and never an error.

    Raises:
        CallError: `gallery`, `heatmaps` or `assets` is none of what they may be; `heatmaps=on`, and
            there is no encoder.
        StorageError: the rows of a run cannot be read.
    """
    return Gallery([])
