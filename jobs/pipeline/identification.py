"""Same subject against another: for `jobs.identify`, and for others to call."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobs.pipeline.command.settings import setting
from jobs.pipeline.errors import CallError
from jobs.pipeline.results import figures
from jobs.pipeline.results.identity.identifying import Identity, identify
from jobs.pipeline.results.identity.pairs import paired_columns, read_pairs
from jobs.pipeline.results.numbers import counted
from jobs.pipeline.run.scores import Scores
from jobs.pipeline.run.stale import open_counted
from jobs.pipeline.storage.redaction import redact

log = logging.getLogger(__name__)


@dataclass
class IdentifyConfig:
    run: str = setting(help="a run whose rows have extra.pair: within or cross, by reference")
    model: str | None = setting(None, "the model of `run`; null is its only one")
    columns: list[str] = setting([], "none means cp and all that compare images with images")
    out: str | None = setting(
        None, "directory for identify.json, identify.md, identify.tex, roc.svg and violin.svg"
    )
    figures: bool | None = setting(None, figures.HELP)


@dataclass(frozen=True)
class Identified:
    """What came of a call."""

    columns: Sequence[Identity]
    rows_left_out: Mapping[str, int] = field(default_factory=dict)
    """By cause, the rows without pairs."""


def identification(config: IdentifyConfig) -> Identified:
    """Hold pairs of one subject against pairs of two, by every column.

    Raises:
        CallError: the call is wrong, or the rows say of pairs what cannot be.
        StorageError: the run cannot be read.
    """
    scores = open_counted([config.run])
    columns = _columns(config, scores)
    pairs = read_pairs(scores, columns, config.model)
    for sort, is_one in (("within", pairs.is_within), ("cross", ~pairs.is_within)):
        if not is_one.any():
            raise CallError(f"run={redact(config.run)}: no pair is {sort}: nothing to tell apart")
    found = identify(pairs, columns)
    names = {each.name for each in found}
    for name in columns:
        if name not in names:
            said = (
                f"{name} has no scored pair of each sort: {counted(pairs.left_out.get(name, {}))}"
            )
            if config.columns or not found:
                raise CallError(f"run={redact(config.run)}: {said}")
            log.warning("%s", said)
    return Identified(found, pairs.rows_left_out)


def _columns(config: IdentifyConfig, scores: Scores) -> list[str]:
    known = paired_columns(scores)
    if not known:
        raise CallError(f"run={redact(config.run)}: no column has its X_per_reference beside it")
    for name in config.columns:
        if name not in known:
            raise CallError(
                f"columns={name}: it has no {name}_per_reference; there are {', '.join(known)}"
            )
    return list(dict.fromkeys(config.columns)) or known
