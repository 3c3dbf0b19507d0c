"""What a report is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.pages.fiftyone import MOST as MOST_EXPORTED
from jobs.pages.gallery import MOST, GalleryConfig, check_gallery
from jobs.pipeline.agreement import PROTOCOLS, TABLE
from jobs.pipeline.command.settings import require_one_of, setting
from jobs.pipeline.errors import CallError
from jobs.pipeline.results.comparison.tags import tag_expression
from jobs.pipeline.storage.filesystem import join, refuse_for_results

PAGE = "index.html"
EXPORTS = ("fiftyone",)


@dataclass
class ReportConfig:
    run: list[str] = setting([], "directories of results, whose scores/ are shown as one")
    baseline: str | None = setting(None, "a run that these are held against, as by jobs.compare")
    baseline_model: str | None = setting(None, "its model; null is its only one, or pairs by name")
    allow_different: bool = setting(False, "compare with a baseline that was scored in other ways")
    history: str | None = setting(None, "HOME/history.parquet of jobs.nightly, for the trend")
    ratings: str | None = setting(None, "of people, as jobs.agree takes them")
    protocol: str = setting(TABLE, f"{' or '.join(PROTOCOLS)}: what the ratings are")
    by: list[str] = setting(
        [],
        "tags to split by: prompt_id, prompt, subject, seed, extra.NAME; none means prompts, and "
        "each extra.NAME of few values",
    )
    out: str | None = setting(None, "directory of index.html; null is report/ in the one run")
    gallery: int = setting(GalleryConfig.gallery, "samples whose images are shown; 0 is none")
    heatmaps: str = setting(
        GalleryConfig.heatmaps,
        "where the scores of these come from, by the encoder: on, off; auto is where it can be "
        "loaded",
    )
    assets: str | None = setting(
        GalleryConfig.assets,
        "folder beside the page for full images, by its name; null keeps thumbnails alone",
    )
    seed: int = setting(GalleryConfig.seed, "of the random samples among those that are shown")
    export: str | None = setting(None, f"{', '.join(EXPORTS)}: write that to out, and no page")


def check(config: ReportConfig) -> None:
    """What types alone cannot say of the settings.

    Raises:
        CallError: a value out of range, or a place where results cannot lie.
    """
    if not config.run:
        raise CallError("run= is required: directories of results (see --help)")
    check_gallery(gallery_of(config), MOST if config.export is None else MOST_EXPORTED)
    if config.assets == PAGE:
        raise CallError(f"assets={PAGE}: that is the page; name a folder beside it")
    require_one_of("protocol", config.protocol, PROTOCOLS)
    if config.export is not None:
        require_one_of("export", config.export, EXPORTS)
        if config.out is None:
            raise CallError(f"out= is required with export={config.export}: its directory")
    for by in config.by:
        tag_expression(by)
    if config.baseline_model is not None and config.baseline is None:
        raise CallError("baseline_model= goes with baseline=, which is not given")
    refuse_for_results(place_of(config), "out" if config.out else "run")


def gallery_of(config: ReportConfig) -> GalleryConfig:
    """What is asked of the gallery."""
    return GalleryConfig(
        config.gallery, config.heatmaps, config.assets, config.seed, config.baseline_model
    )


def place_of(config: ReportConfig) -> str:
    """The directory that is written to.

    Raises:
        CallError: it is to be named, as there are several runs.
    """
    if config.out is not None:
        return config.out
    if len(config.run) > 1:
        raise CallError("out= is required where there are several runs: directory of the page")
    return join(config.run[0], "report")
