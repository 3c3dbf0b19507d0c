"""A look at what an evaluation would do: shards, masks, subjects, references, room and cost.

Nothing is scored, nothing is written, and no Ray starts: some samples of some shards are decoded as
a worker would, and every reference.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.pipeline.cluster.memory import stated_memory
from jobs.pipeline.errors import StorageError
from jobs.pipeline.run.reports import Warned, merged
from jobs.pipeline.run.rows import ERROR, OK, PER_REFERENCE, SKIPPED
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.scoring.placing import passes_of
from jobs.pipeline.scoring.warnings import CURES, warnings_of
from jobs.pipeline.scoring_passes import SMALL, described_passes
from jobs.pipeline.storage.filesystem import is_local, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import reason_of
from masc_core.masc_scores import COLUMNS, MascScores
from masc_core.subject import strip_subject, subject_found

if TYPE_CHECKING:
    from jobs.pipeline.evaluation import EvaluateConfig
    from jobs.pipeline.scoring.config import MetricConfig
    from jobs.pipeline.scoring.row import Row
    from jobs.pipeline.scoring_task import Scoring

SHARDS = 16
"""That are looked into, spread over all that are to do."""
SAMPLES = 8
"""Of each of them, the first ones."""
BYTES_A_ROW = 300
"""Of `scores/`, compressed: an order of magnitude."""
EXAMPLES = 5
"""Samples that cannot be scored, by reason, that are named."""


@dataclass(frozen=True)
class Look:
    """What was found. Sizes in bytes; None is not known."""

    shards: int
    shards_to_do: int
    bytes_to_do: int | None
    samples_to_do: int | None
    """An estimate: bytes of the shards over bytes of the samples that were looked at."""
    columns_to_compute: list[str]
    looked_at: dict[str, int]
    """Samples by status: what would become of them."""
    errors: dict[str, str]
    """The first sample of each reason, and the reason."""
    unreadable: dict[str, str]
    """Shards that cannot be read, by their URL, and why."""
    warnings: dict[str, Warned]
    references: int
    concepts: int
    unusable_references: dict[str, str]
    checkpoint: str | None
    """Its name or path; None where nothing of MaSC is to do."""
    reference_bytes: int | None
    """Of patch tokens in the object store: all of each reference, at most."""
    flops: float | None
    """Of the encoder, for all that is to do."""
    passes: list[list[dict[str, Any]]]
    """Over the shards, and of each its metrics and what their weights take; of a call that does not
    say what memory a worker has, as if there were enough."""
    memory_bytes: int | None
    """That a worker has for them, by the call; None leaves it to the cluster."""
    free_bytes: int | None
    """Where the run lies; None on object storage."""
    error_rate: float = field(default=0.0)
    """Of the samples that were looked at."""

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def look_at(config: EvaluateConfig, task: Scoring) -> Look:
    """Find out what the evaluation would come to.

    Raises:
        CallError: what would be refused before a worker starts; or no reference can be read.
        StorageError: the run cannot be looked at.
    """
    remaining, remaining_metrics = task.look()
    to_do = remaining.shards
    masc = next((each for each in remaining_metrics if isinstance(each, MascScores)), None)
    scorer = task.scorer_without_metrics(SAMPLES, os.cpu_count() or 1)
    index = task.read_references(scorer)
    rows: list[Row] = []
    warnings: list[Mapping[str, Warned]] = []
    unreadable: dict[str, str] = {}
    for shard in _spread(to_do):
        try:
            own = scorer.look(shard)
        except (StorageError, OSError, tarfile.TarError) as error:
            unreadable[redact(shard.url)] = reason_of(error)
            continue
        rows += own
        warnings.append(_warnings(own, config.metric if masc else None))
    statuses = Counter(str(row.columns.get("status", OK)) for row in rows)
    errors: dict[str, str] = {}
    for row in rows:
        if row.columns.get("status") in (ERROR, SKIPPED):
            errors.setdefault(str(row.columns["error"]), row.key)
    sizes = [shard.version.size for shard in to_do]
    bytes_to_do = None if None in sizes else sum(size or 0 for size in sizes)
    samples = _samples(bytes_to_do, rows)
    shape = masc.shape() if masc else None
    memory = stated_memory(config.workers)
    needs = task.needs_of(remaining_metrics)
    return Look(
        shards=len(task.shards),
        shards_to_do=len(to_do),
        bytes_to_do=bytes_to_do,
        samples_to_do=samples,
        columns_to_compute=sorted(filter(_is_score, remaining.columns)),
        looked_at={status: statuses[status] for status in (OK, SKIPPED, ERROR)},
        errors={key: reason for reason, key in list(errors.items())[:EXAMPLES]},
        unreadable=unreadable,
        warnings=merged(warnings),
        references=len(index.by_key),
        concepts=len({each.concept for each in index.by_key.values()}),
        unusable_references={k: e.error for k, e in index.by_key.items() if e.error is not None},
        checkpoint=masc.source.partition("=")[2] if masc else None,
        reference_bytes=_reference_bytes(masc, len(index.by_key)),
        flops=shape.flops_an_image * (samples + len(index.by_key)) if shape and samples else None,
        passes=described_passes([[needs[n] for n in own] for own in passes_of(needs, memory)]),
        memory_bytes=memory,
        free_bytes=_free(config.run),
        error_rate=statuses[ERROR] / len(rows) if rows else 0.0,
    )


def lines_of(look: Look) -> list[tuple[str, str]]:
    """The look as a reader takes it in: what, and what of it."""
    samples = (
        "an unknown number of" if look.samples_to_do is None else f"about {look.samples_to_do:,}"
    )
    size = "" if look.bytes_to_do is None else f", {_size(look.bytes_to_do)}"
    seen = sum(look.looked_at.values())
    lines = [
        ("shards", f"{look.shards:,}, {look.shards_to_do:,} to do{size}: {samples} samples"),
        (
            "looked at",
            f"{seen:,} samples: " + ", ".join(f"{n} {s}" for s, n in look.looked_at.items()),
        ),
    ]
    lines += [("", f"{key}: {reason}") for key, reason in look.errors.items()]
    lines += [("unreadable", f"{url}: {why}") for url, why in look.unreadable.items()]
    lines += [
        ("warning", f"{warned.n} {CURES[kind]}; the first is {warned.example}")
        for kind, warned in look.warnings.items()
    ]
    lines.append(("references", f"{look.references:,} of {look.concepts:,} concepts"))
    lines += [("unusable", f"{key}: {why}") for key, why in look.unusable_references.items()]
    lines.append(("columns", ", ".join(look.columns_to_compute) or "none to compute"))
    if look.checkpoint is not None:
        lines.append(("encoder", look.checkpoint))
    lines += _of_passes(look)
    if look.reference_bytes is not None:
        lines.append(
            ("memory", f"at most {_size(look.reference_bytes)} of the object store for references")
        )
    if look.samples_to_do is not None:
        free = "" if look.free_bytes is None else f" of {_size(look.free_bytes)} that are free"
        lines.append(("disk", f"about {_size(BYTES_A_ROW * look.samples_to_do)}{free}"))
    if look.flops is not None:
        lines.append(
            (
                "cost",
                f"{look.flops:.2g} FLOP in the encoder: {look.flops / 3.6e18:.2g} hours of a GPU "
                "that reaches 1,000 TFLOP/s, ten times as many at 100",
            )
        )
    return lines


def _of_passes(look: Look) -> list[tuple[str, str]]:
    """Where networks stand, if it is not all together, or may not be."""
    weights = [each["weight_bytes"] or 0 for own in look.passes for each in own]
    is_small = sum(weights) <= SMALL
    if len(look.passes) < 2 and is_small:
        return []
    lines = [
        (f"pass {number}", ", ".join(f"{m['metric']}, {_weights(m['weight_bytes'])}" for m in own))
        for number, own in enumerate(look.passes, start=1)
    ]
    if look.memory_bytes is None and not is_small:
        lines.append(("", "more of them where a worker's memory asks for it: workers.memory_gb=GB"))
    return lines


def _weights(n: int | None) -> str:
    return "weights of a size not known" if n is None else f"{_size(n)} of weights"


def _is_score(column: str) -> bool:
    """Whether it is a figure of its own, and not what one rests on."""
    is_detail = column in COLUMNS and column not in ("cp", "pf")
    return not is_detail and not column.endswith(PER_REFERENCE)


def _spread(shards: Sequence[Shard]) -> list[Shard]:
    """Some of them, evenly."""
    step = max(1, -(-len(shards) // SHARDS))
    return list(shards[::step])


def _warnings(rows: Sequence[Row], metric: MetricConfig | None) -> dict[str, Warned]:
    """What a run would warn of; nothing of texts where it encodes none, for which `metric` is
    None."""
    told = []
    for row in rows:
        if row.is_over:
            continue
        columns = row.as_columns("")
        if metric is not None:
            prompt = columns["prompt"]
            text = strip_subject(prompt, columns["subject"], metric.stripper, metric.spacy_model)
            columns |= {"text": text, "subject_found": subject_found(prompt, text)}
        told.append(columns)
    return warnings_of(told, {row.key: row.suspicions for row in rows})


def _samples(bytes_to_do: int | None, rows: Sequence[Row]) -> int | None:
    lengths = [length for _, length in (row.at for row in rows) if length]
    if bytes_to_do is None or not lengths:
        return None
    return max(1, round(bytes_to_do * len(lengths) / sum(lengths)))


def _reference_bytes(masc: MascScores | None, n: int) -> int | None:
    return None if masc is None else masc.shape().token_bytes_an_image * n


def _free(run: str) -> int | None:
    fs, path = open_filesystem(run)
    if not is_local(fs):
        return None
    place = next(each for each in [Path(path), *Path(path).parents] if each.exists())
    return shutil.disk_usage(place).free


def _size(n: int) -> str:
    """In units that are read at a glance."""
    value = float(n)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
