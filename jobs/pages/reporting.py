"""The report of runs: for the command, for `jobs.evaluate report=true`, and for every night.

1. Open the rows that count, and reduce them by the reducer's own functions.
2. What else is asked for: the comparison, the history, people's ratings, the gallery.
3. Fill in the page, and write it in one step.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import masc_core
from jobs.pages import board as boards
from jobs.pages import changes, early, opening, people, ridges, trend
from jobs.pages import scatter as scatters
from jobs.pages.about import About, about
from jobs.pages.cells import Cells, cells_of
from jobs.pages.current import differences_from_summary
from jobs.pages.data import data_of
from jobs.pages.fiftyone import export_fiftyone
from jobs.pages.gallery import OpenedRun, build_gallery
from jobs.pages.gallery_items import Gallery
from jobs.pages.gathering import Figures, gather, models_of_several
from jobs.pages.heat import MOST_ROWS, heat
from jobs.pages.rendering import render
from jobs.pages.settings import PAGE, ReportConfig, check, gallery_of, place_of
from jobs.pages.tag_lines import tag_lines
from jobs.pipeline.agreement import AgreeConfig, agreement
from jobs.pipeline.comparison import Judged
from jobs.pipeline.nights import wording as nights_wording
from jobs.pipeline.nights.history import History
from jobs.pipeline.results.agreement import wording as agreement_wording
from jobs.pipeline.results.agreement.agreeing import Section
from jobs.pipeline.results.agreement.document import document as agreement_document
from jobs.pipeline.run.scores import Scores
from jobs.pipeline.run.stale import open_counted
from jobs.pipeline.storage.filesystem import join
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.writing import write_files

log = logging.getLogger(__name__)

LARGE = 5_000_000
"""Bytes of a page that is slow to open."""
SYMBOLS = {"improved": "▲", "same": "●", "undecided": "◌", "regressed": "▼"}


@dataclass(frozen=True)
class Report:
    """What was written."""

    page: str
    """Its URL without credentials."""
    n_bytes: int
    counts: Mapping[str, int]
    n_models: int
    verdict: str | None
    """Against the baseline."""
    warnings: Sequence[str]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**vars(self), "warnings": list(self.warnings)}


def report(config: ReportConfig) -> Report:
    """Write the page of runs.

    Raises:
        CallError: the call is wrong, or there is nothing to show.
        StorageError: something cannot be read, or the page not written.
    """
    check(config)
    out = place_of(config)
    files, written = files_of(config)
    write_files(out, files)
    if written.n_bytes > LARGE:
        log.warning(
            "%s is %.1f MB, which a browser takes its time for; gallery= makes it smaller",
            *(written.page, written.n_bytes / 1e6),
        )
    return written


@dataclass(frozen=True)
class Exported:
    """What was written in place of a page."""

    out: str
    """Its URL without credentials."""
    n_samples: int

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return dict(vars(self))


def export(config: ReportConfig) -> Exported:
    """Write the samples that a page would show as a data set of FiftyOne's.

    Raises:
        CallError: the call is wrong, or no sample has its image.
        StorageError: a run cannot be read, or the data set not written.
    """
    check(config)
    out = place_of(config)
    n_samples = export_fiftyone(_opened(config, open_counted(config.run)), out, gallery_of(config))
    return Exported(redact(out), n_samples)


def night_page(
    run: str, baseline: str | None, judged: Judged | None, history: History
) -> Mapping[str, bytes]:
    """The page of a checkpoint and its night, by file name.

    Args:
        baseline: the run that it was held against.
        judged: what came of that.
        history: up to this checkpoint.

    Raises:
        CallError, StorageError: as `report`.
    """
    files, _ = files_of(ReportConfig(run=[run], baseline=baseline), judged, history)
    return files


def files_of(
    config: ReportConfig, judged: Judged | None = None, history: History | None = None
) -> tuple[Mapping[str, bytes], Report]:
    """The page, and what lies beside it; nothing is written.

    Args:
        judged: the comparison with the baseline, where the caller has made it already.
        history: the history, where the caller has read it already.

    Raises:
        CallError, StorageError: as `report`.
    """
    # What is wrong with the call is said before the rows are read.
    if history is None and config.history is not None:
        history = trend.read_history(config.history)
    scores = open_counted(config.run)
    runs = [about(run) for run in config.run]
    if judged is None and config.baseline is not None:
        judged = changes.compared(config, scores)
    sections = None
    if config.ratings is not None:
        sections = agreement(
            AgreeConfig(ratings=config.ratings, runs=config.run, protocol=config.protocol)
        )
    figures = gather(scores, config.run, config.by)
    further = differences_from_summary(config.run, figures.summary)
    if history is not None:
        further += trend.strangers(history, config.run)
    if len(runs) > 1:
        shared = models_of_several([each.scores for each in _opened(config, scores)])
        further += opening.of_several_runs(shared)
    gallery = _gallery(config, scores)
    content, said = page_of(figures, runs, judged, history, sections, gallery, further)
    counts = figures.summary.document()["counts"]
    if not counts["n_ok"]:
        log.warning("none of %d rows could be scored; the page says why", counts["n"])
    # The page last: what it links to is there.
    files = {**({} if gallery is None else gallery.files), PAGE: content}
    return files, Report(
        redact(join(place_of(config), PAGE)),
        len(content),
        counts,
        len(figures.ranked),
        None if judged is None else str(judged.verdict),
        said,
    )


def page_of(
    figures: Figures,
    runs: Sequence[About],
    judged: Judged | None = None,
    history: History | None = None,
    sections: Sequence[Section] | None = None,
    gallery: Gallery | None = None,
    further: Sequence[str] = (),
) -> tuple[bytes, list[str]]:
    """The page, and what it warns of.

    Args:
        further: what else to warn of.
    """
    cells = cells_of(figures.summary, figures.ranked, figures.columns)
    drawn_heat = heat(cells)
    drawn_scatter = scatters.scatter(figures.summary, figures.ranked, figures.columns)
    data = data_of(figures, cells, drawn_heat, drawn_scatter)
    data["comparison"] = None if judged is None else changes.data_of(judged)
    nights = None if history is None else trend.trend(history)
    data["history"] = None if nights is None else [*map(nights_wording.document, nights.rows)]
    data["agreement"] = None if sections is None else agreement_document(sections)
    looked = early.early(runs)
    data["early"] = early.data_of(looked)
    said = opening.warnings(figures, cells, runs, further)
    shown = {
        "changes": None if judged is None else changes.changes(judged),
        "early": looked,
        "trend": nights,
        "gallery": gallery,
        "people": None if sections is None else people.people_of(sections),
    }
    page = {
        "heading": " + ".join(run.name for run in runs),
        "lead": opening.lead(figures),
        "facts": opening.facts(figures, runs),
        "warnings": said,
        "sections": _sections(shown),
        "board": boards.board(figures.summary, figures.ranked, figures.columns),
        "board_notes": opening.board_notes(figures),
        "scatter": drawn_scatter,
        "heat": drawn_heat,
        "heat_first": drawn_heat.ends[drawn_heat.column] if drawn_heat else None,
        "heat_note": _heat_note(cells),
        "ridges": [
            ridges.ridges(each, figures.summary, figures.ranked) for each in figures.distributions
        ],
        "tags": [tag_lines(each, figures.ranked, figures.columns) for each in figures.tags],
        "reasons": figures.reasons,
        "missing": opening.missing(figures),
        "runs": runs,
        **shown,
        **_constants(),
    }
    return render(page, data, gallery=gallery is not None), said


def _gallery(config: ReportConfig, scores: Scores) -> Gallery | None:
    """The samples that are shown, by the rows that count."""
    if not config.gallery:
        return None
    baseline = config.baseline
    held = None if baseline is None else OpenedRun(baseline, open_counted([baseline]))
    return build_gallery(_opened(config, scores), held, gallery_of(config))


def _opened(config: ReportConfig, scores: Scores) -> list[OpenedRun]:
    """Each run with its own rows."""
    return [
        OpenedRun(run, scores.without(p for p in scores.parts if p.run != redact(run)))
        for run in config.run
    ]


def _constants() -> dict[str, Any]:
    """What templates name of the code."""
    return {
        "version": masc_core.__version__,
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "board_width": boards.WIDTH,
        "changes_width": changes.WIDTH,
        "people_width": people.WIDTH,
        "scatter_size": scatters,
        "ridge_size": ridges,
        "early_size": early,
        "trend_size": trend,
        "verdict_of": trend.verdict_of,
        "people_footnote": agreement_wording.FOOTNOTE,
        "symbols": SYMBOLS,
    }


def _sections(shown: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of the page's head: links to what is there."""
    names = {
        "leaderboard": "Leaderboard",
        "changes": "Changes",
        "early": "Early",
        "trend": "Trend",
        "scatter-section": "CP × PF",  # noqa: RUF001 - a product
        "concepts": "Concepts",
        "distributions": "Distributions",
        "tags": "Prompts",
        "gallery": "Gallery",
        "people": "People",
        "problems": "Problems",
        "about": "Run",
    }
    return [(id_, name) for id_, name in names.items() if shown.get(id_, True) is not None]


def _heat_note(cells: Cells) -> str:
    """Where the other concepts are, for who reads without scripts."""
    n = len(cells.concepts)
    if n <= MOST_ROWS:
        return ""
    return (
        f"The {MOST_ROWS} of the lowest CP; the page's script shows all {n:,}, and "
        "summary/model_concept.parquet holds them."
    )
