"""The gallery of the report: which samples, their pictures, and where their scores come from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import duckdb

from jobs.pages.gallery_choosing import MERIT_IN_WORDS, Choice, Chosen, choose, pair_with
from jobs.pages.gallery_items import Gallery
from jobs.pages.gallery_showing import Fetched, named, show
from jobs.pipeline.command.settings import require_in_range, require_one_of
from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.explaining import explained, load_masc
from jobs.pipeline.results.comparison.opening import MEMORY_LIMIT, matched_models, models_of
from jobs.pipeline.results.comparison.pairing import Side, have_ids
from jobs.pipeline.results.database import connected
from jobs.pipeline.run.scores import Scores
from jobs.pipeline.scored_samples import COLUMNS, RunSamples, SamplePictures
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import reason_of

if TYPE_CHECKING:
    from masc_core.metric import MaSC

log = logging.getLogger(__name__)

AUTO, ON, OFF = "auto", "on", "off"
MOST = 200
"""Samples on a page: of more the pictures would be too small to see anything."""


@dataclass(frozen=True)
class GalleryConfig:
    """What a gallery is asked for."""

    gallery: int = 24
    """Samples that are shown, at most `MOST`."""
    heatmaps: str = AUTO
    """Where scores come from, by the encoder: `ON`, `OFF`; `AUTO` where it can be loaded."""
    assets: str | None = None
    """Name of a folder beside the page for full images; None keeps thumbnails alone."""
    seed: int = 0
    """Of the random samples."""
    baseline_model: str | None = None
    """The baseline's model that all are held against; None is its only one, or pairs by name."""


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
    check_gallery(config)
    if not config.gallery:
        return Gallery([])
    choice = choose_samples(runs, baseline, config)
    opened = [*runs, *([baseline] if baseline is not None else [])]
    sources = [RunSamples(each.url, each.scores.parts) for each in opened]
    notes = [MERIT_IN_WORDS, *choice.notes]
    names = [redact(each.url) for each in opened]
    fetched = fetch(choice.shown, sources, len(runs))
    # An encoder is not loaded for pictures that are not there.
    complete = [each.chosen for each in fetched if each.pictures.is_complete]
    metrics = load_metrics(complete, names, sources, config.heatmaps, notes)
    found = explain_fetched(fetched, names, metrics)
    items, files = show(found, names, config.assets)
    return Gallery(
        items,
        [named(each, names[each.run]) for each in choice.others],
        notes,
        sum(each.n_bytes_read for each in sources),
        sum(each.n_bytes for each in found),
        files,
    )


def check_gallery(config: GalleryConfig, most: int = MOST) -> None:
    """What types alone cannot say of the settings.

    Raises:
        CallError: a value that none of them may have.
    """
    require_in_range(("gallery", config.gallery, 0, most))
    require_one_of("heatmaps", config.heatmaps, (AUTO, ON, OFF))
    name = config.assets
    if name is not None and (not name.strip() or "/" in name or name in (".", "..")):
        raise CallError(f"assets={name}: expected the name of a folder beside the page")


def choose_samples(
    runs: Sequence[OpenedRun], baseline: OpenedRun | None, config: GalleryConfig
) -> Choice:
    """Choose among the rows of all runs; arguments and errors are those of `build_gallery`."""
    opened = [*runs, *([baseline] if baseline is not None else [])]
    columns = dict.fromkeys(
        [*COLUMNS, *(name for each in opened for name in each.scores.score_columns)]
    )
    scores = [each.scores.select(columns) for each in opened]

    def ask(sources: list[str]) -> Choice:
        with connected(MEMORY_LIMIT) as connection:
            selects = [
                f"SELECT {n}::BIGINT AS run, * EXCLUDE (filename) FROM ({source})"
                for n, source in enumerate(sources[: len(runs)])
            ]
            connection.execute(f"CREATE TEMP VIEW rows AS {' UNION ALL BY NAME '.join(selects)}")
            notes: list[str] = []
            has_pairs = False
            if baseline is not None:
                held = f"SELECT * EXCLUDE (filename) FROM ({sources[-1]})"
                connection.execute(f"CREATE TEMP VIEW baseline AS {held}")
                has_pairs = _pair(connection, len(runs), config.baseline_model, notes)
            chosen = choose(connection, config.gallery, config.seed, _masks(runs), has_pairs)
            return Choice(chosen.shown, chosen.others, [*notes, *chosen.notes])

    try:
        return _query(scores, ask)
    except duckdb.Error as error:
        raise StorageError("gallery", reason_of(error)) from error


def _query(scores: Sequence[Scores], ask: Any, sources: Sequence[str] = ()) -> Any:
    """`ask` of the sources of all of them, each of which stands still meanwhile."""
    if not scores:
        return ask(list(sources))
    first, *others = scores
    return first.query(lambda source: _query(others, ask, [*sources, source]))


def _masks(runs: Sequence[OpenedRun]) -> list[str]:
    """Beyond the given one, those that have scores in every run."""
    names = [set(each.scores.available.names) for each in runs]
    return sorted(
        name.removeprefix("cp@")
        for name in set.intersection(*names)
        if name.startswith("cp@") and not name.endswith("_per_reference")
    )


def _pair(
    connection: duckdb.DuckDBPyConnection, n_runs: int, model: str | None, notes: list[str]
) -> bool:
    """Pair the runs with the baseline, as far as models and seeds go together."""
    before, held, by_id = models_of(connection, "baseline"), [], True
    for number in range(n_runs):
        view = f"rows_{number}"
        connection.execute(f"CREATE TEMP VIEW {view} AS SELECT * FROM rows WHERE run = {number}")
        try:
            pairs = _matched(before, models_of(connection, view), model)
        except CallError as error:
            notes.append(f"no sample has a partner in the baseline: {error}")
            continue
        for old, new in pairs:
            held.append((number, new, old))
            by_id &= have_ids(connection, Side("baseline", old), Side(view, new))
    if held and pair_with(connection, held, by_id):
        return True
    if held:
        notes.append("no sample has a partner of the same concept, prompt and seed in the baseline")
    return False


def fetch(chosen: Sequence[Chosen], sources: Sequence[RunSamples], n_runs: int) -> list[Fetched]:
    """The pictures of what was chosen, those of a run together."""
    own: dict[int, SamplePictures] = {}
    for number, source in enumerate(sources[:n_runs]):
        of_run = [each for each in chosen if each.run == number]
        found = source.pictures([each.row for each in of_run])
        own |= {id(each): pictures for each, pictures in zip(of_run, found, strict=True)}
    held = [each for each in chosen if each.partner is not None]
    # The references are the same; only the image is another.
    rows = [{**(each.partner or {}), "references": []} for each in held]
    found = sources[-1].pictures(rows) if held else []
    partners = {id(each): pictures for each, pictures in zip(held, found, strict=True)}
    return [Fetched(each, own[id(each)], partners.get(id(each))) for each in chosen]


def _matched(before: list[str], after: list[str], model: str | None) -> list[tuple[str, str]]:
    """The models that are held against one another, the baseline's first; one that is named is held
    against all.

    Raises:
        CallError: it is not there, or none goes with another.
    """
    if model is None:
        return matched_models(before, after, None, None)
    return [matched_models(before, after, model, each)[0] for each in after]


def load_metrics(
    chosen: Sequence[Chosen],
    runs: Sequence[str],
    sources: Sequence[RunSamples],
    heatmaps: str,
    notes: list[str],
) -> dict[int, MaSC]:
    """What explains the samples of each run, by its number.

    Args:
        runs: what they are called.
        notes: where one cannot be loaded, why not is added.

    Raises:
        CallError: one cannot be loaded, and `heatmaps` is `ON`.
    """
    loaded: dict[int, MaSC] = {}
    if heatmaps != OFF and chosen:
        log.info(
            "heat maps of %d samples, by the encoder; heatmaps=off leaves them out", len(chosen)
        )
    for number in sorted({each.run for each in chosen}) if heatmaps != OFF else ():
        try:
            loaded[number] = load_masc(sources[number].described, False, f"run={runs[number]}")
        except CallError as error:
            if heatmaps == ON:
                raise
            log.warning("no heat maps: %s", error)
            notes.append(f"No heat maps: {error}")
    return loaded


def explain_fetched(
    fetched: Sequence[Fetched], runs: Sequence[str], metrics: Mapping[int, MaSC]
) -> list[Fetched]:
    """With where the scores come from, of those that are complete."""
    return [_with_maps(each, runs, metrics.get(each.chosen.run)) for each in fetched]


def _with_maps(each: Fetched, runs: Sequence[str], masc: MaSC | None) -> Fetched:
    if masc is None or not each.pictures.is_complete:
        return each
    try:
        found = explained(runs[each.chosen.run], each.chosen.row, each.pictures, masc)
    except ValueError as error:
        return replace(each, notes=[f"no heat map: {error}"])
    return replace(each, explained=found, notes=found.differences)
