"""Where one sample's scores come from: for the command, and for others to call."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from jobs.pipeline.command.settings import setting
from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.results.database import connected
from jobs.pipeline.run.fingerprint import MASC, differing, groups_of
from jobs.pipeline.run.rows import OK
from jobs.pipeline.run.scores import Scores
from jobs.pipeline.run.stale import open_counted
from jobs.pipeline.scored_samples import COLUMNS, Picture, RunSamples, SamplePictures
from jobs.pipeline.scoring.config import EncoderConfig, MetricConfig
from jobs.pipeline.scoring.metrics import metrics_asked
from jobs.pipeline.shards.members import USUAL_MAX_PIXELS
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import reason_of
from masc_core.masc_scores import MascScores

if TYPE_CHECKING:
    from masc_core.explaining import Explanation
    from masc_core.metric import MaSC

log = logging.getLogger(__name__)

MEMORY_LIMIT = "2GB"

TOLERANCE = {"float32": 1e-4}
"""Between a row's score and the same computed here, by the precision of the vision tower: other
devices and batches round otherwise."""
COARSE_TOLERANCE = 1e-2


@dataclass
class ExplainConfig:
    run: str = setting(help="the run that scored the sample")
    key: str = setting(help="the sample's key")
    out: str = setting(help="picture to write: FILE.png or FILE.svg, or the page FILE.html")
    model: str | None = setting(None, "its model, where samples of several have that key")
    shard: str | None = setting(None, "end of its shard's URL, where several have that key")
    reference: int | None = setting(
        None, "draw this one of its references alone, from 1 on; null draws all"
    )
    trust_remote_code: bool = setting(
        False, "let the run's checkpoint run Python code of its own here, if it asks for it"
    )


@dataclass(frozen=True)
class Explained:
    """A sample, its images, and where its scores come from."""

    run: str
    """Without credentials."""
    row: Mapping[str, Any]
    """Of `scores/`: every column that the run has."""
    generation: Picture
    references: Sequence[Picture]
    explanation: Explanation
    differences: Sequence[str]
    """Where what is computed here is not what the row says."""

    def of_reference(self, number: int) -> Explained:
        """The same, of whose references one is shown."""
        shown = slice(number, number + 1)
        explanation = dataclasses.replace(
            self.explanation, references=self.explanation.references[shown]
        )
        return dataclasses.replace(self, references=self.references[shown], explanation=explanation)


def explain_sample(config: ExplainConfig) -> Explained:
    """Read a sample again, and compute where its scores come from.

    Raises:
        CallError: there is no such run or sample, or it has no scores; its shards are gone or have
            changed; or its encoder cannot be loaded.
        StorageError: the run cannot be read.
    """
    scores = open_counted([config.run])
    row = find_row(scores, config)
    samples = RunSamples(config.run, scores.parts)
    [pictures] = samples.pictures([row])
    if pictures.problems:
        raise CallError(f"key={config.key}: {pictures.problems[0]}")
    n_references = len(pictures.references)
    if not n_references:
        raise CallError(f"key={config.key}: its row names no reference")
    if config.reference is not None and not 1 <= config.reference <= n_references:
        raise CallError(f"reference={config.reference}: the sample has {n_references}")
    masc = load_masc(samples.described, config.trust_remote_code, f"run={redact(config.run)}")
    found = explained(redact(config.run), row, pictures, masc)
    return found if config.reference is None else found.of_reference(config.reference - 1)


def explained(run: str, row: Mapping[str, Any], pictures: SamplePictures, masc: MaSC) -> Explained:
    """Where the scores of a row come from; its pictures are complete."""
    from masc_core.explaining import explain

    generation, references = pictures.generation, pictures.references
    assert generation is not None
    found = explain(
        masc,
        [photo.image for photo in references],
        [photo.mask for photo in references],
        generation.image,
        generation.mask,
        row["prompt"] or "",
        row["subject"],
    )
    tolerance = TOLERANCE.get(str(masc.encoder.dtype).removeprefix("torch."), COARSE_TOLERANCE)
    return Explained(run, row, generation, references, found, _differences(row, found, tolerance))


def find_row(scores: Scores, config: ExplainConfig) -> dict[str, Any]:
    """The row of a sample, with every column that the run has.

    Raises:
        CallError: there is none, or several, or it has no scores.
        StorageError: the rows cannot be read.
    """
    asked = scores.select(dict.fromkeys([*COLUMNS, *scores.available.names]))

    def ask(source: str) -> tuple[list[dict[str, Any]], list[str]]:
        with connected(MEMORY_LIMIT) as connection:
            rows = connection.sql(
                f"SELECT * EXCLUDE (filename) FROM ({source}) WHERE key = $key",
                params={"key": config.key},
            ).to_arrow_table()
            if rows.num_rows:
                return rows.to_pylist(), []
            nearest = connection.execute(
                f"SELECT key FROM ({source}) ORDER BY jaro_winkler_similarity(key, $key) DESC, key "
                "LIMIT 1",
                {"key": config.key},
            ).fetchall()
            return [], [key for (key,) in nearest]

    try:
        rows, nearest = asked.query(ask)
    except duckdb.Error as error:
        raise StorageError(f"run={redact(config.run)}", reason_of(error)) from error
    if not rows:
        advice = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise CallError(f"key={config.key}: no such sample in {redact(config.run)}{advice}")
    row = _the_one(rows, config)
    if row["status"] != OK:
        raise CallError(
            f"key={config.key}: {row['status']}, so there is nothing to explain: {row['error']}"
        )
    return row


def _the_one(rows: Sequence[dict[str, Any]], config: ExplainConfig) -> dict[str, Any]:
    """Of the rows of one key that which is meant."""
    left = [
        row
        for row in rows
        if config.model in (None, row["model"])
        and (config.shard is None or str(row["shard"]).endswith(config.shard))
    ]
    listed = ", ".join(f"{row['model']} in {row['shard']}" for row in (left or rows)[:5])
    if not left:
        raise CallError(
            f"key={config.key}: none of its samples is of this model= and shard=; there are "
            f"{listed}"
        )
    if len(left) > 1:
        raise CallError(
            f"key={config.key}: {len(left)} samples have it ({listed}); name model= or shard="
        )
    return left[0]


def load_masc(described: Mapping[str, Any], trust_remote_code: bool, what: str) -> MaSC:
    """MaSC as a run was scored by it.

    Args:
        described: what `run.json` says.
        trust_remote_code: the caller's own word: `run.json` may be a stranger's.
        what: names the run in errors.

    Raises:
        CallError: `run.json` does not say, its encoder cannot be loaded, or is another one now.
    """
    config = described.get("config")
    if not isinstance(config, dict) or not isinstance(config.get("encoder"), dict):
        raise CallError(f"{what}: its run.json does not say by which encoder it was scored")
    encoder = _settings(EncoderConfig, config["encoder"])
    metric = _settings(MetricConfig, config.get("metric"))
    encoder = dataclasses.replace(encoder, trust_remote_code=trust_remote_code, compile=False)
    metric = dataclasses.replace(metric, masks=MetricConfig().masks, extra=[])
    [masc, *_] = metrics_asked(encoder, metric, {}, USUAL_MAX_PIXELS)
    if masc.problem is not None:
        raise CallError(f"{what}: {masc.problem}")
    recorded = groups_of(described.get("fingerprint"), described.get("format", 1)).get(MASC, {})
    here = {key: v for key, v in masc.fingerprint.items() if key in recorded and "limit" not in key}
    if differences := differing(here, {key: recorded[key] for key in here}):
        raise CallError(f"{what}: it was scored in another way than here: {differences[0]}")
    assert isinstance(masc.metric, MascScores)
    _quieten()
    try:
        masc.metric.load()
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        raise CallError(f"{what}: its encoder cannot be loaded: {reason_of(error)}") from error
    return masc.metric.masc


def _quieten() -> None:
    """What the library says of a checkpoint's files tells the reader of a page nothing."""
    from masc_core.torchvision_compat import make_torchvision_importable

    make_torchvision_importable()
    from transformers.utils import logging as of_transformers

    of_transformers.set_verbosity_error()
    of_transformers.disable_progress_bar()


def _settings(schema: type, found: object) -> Any:
    """Settings as `run.json` has them; what it lacks, or has of a newer version, is the default."""
    known = {field.name for field in dataclasses.fields(schema)}
    given = found if isinstance(found, dict) else {}
    return schema(**{name: value for name, value in given.items() if name in known})


def _differences(row: Mapping[str, Any], found: Explanation, tolerance: float) -> list[str]:
    lines = []
    for name, here in (("cp", found.cp), ("pf", found.pf)):
        there = row[name]
        there = math.nan if there is None else there
        if math.isnan(here) and math.isnan(there):
            continue
        if not abs(here - there) <= tolerance:
            lines.append(f"{name} is {here:.4f} here, and {there:.4f} in the run")
    return lines
