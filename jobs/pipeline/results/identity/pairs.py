"""The pairs that a run has scored: each generation with each of its references.

`extra.pair` says of each reference whether it shows the generation's subject, `within`, or another
one, `cross`; its order is that of `references`, and so is that of every `X_per_reference`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline.errors import CallError
from jobs.pipeline.results.identity.delong import UNKNOWN
from jobs.pipeline.run.rows import OK, PER_REFERENCE
from jobs.pipeline.run.scores import Scores

PAIR, WITHIN, CROSS = "pair", "within", "cross"
NO_PAIR = "no extra.pair"


@dataclass(frozen=True, eq=False)
class Pairs:
    """P pairs, row after row."""

    rows: np.ndarray
    """(P,) number of the row, which is the generation."""
    is_within: np.ndarray
    """(P,)"""
    subjects: np.ndarray
    """(P, 2) numbers of the subjects of the generation and of the reference, which are the same in
    a within pair; `UNKNOWN` of a reference whose photo it is is not known."""
    n_rows: int
    """Of those that have pairs."""
    scores: Mapping[str, np.ndarray]
    """By column, (P,); NaN where there is none."""
    left_out: Mapping[str, Mapping[str, int]]
    """By column and cause, the pairs that have no score."""
    rows_left_out: Mapping[str, int]
    """By cause, the rows that have no pairs."""


def paired_columns(scores: Scores) -> list[str]:
    """Those that compare an image with an image, CP first."""
    lists = [
        each.name.removesuffix(PER_REFERENCE)
        for each in scores.available
        if each.name.endswith(PER_REFERENCE) and _is_of_numbers(each.type)
    ]
    return sorted(lists, key=lambda name: name != "cp")


def read_pairs(scores: Scores, columns: Sequence[str], model: str | None = None) -> Pairs:
    """All pairs of a run's rows, whatever the rows' status.

    Args:
        columns: of `paired_columns`.
        model: whose rows are meant; None is the only one that there is.

    Raises:
        CallError: there is no such model, or several and none is named: scores of one are not held
            against those of another. No row has `extra.pair`; or what one says of its references
            cannot be: another number than they are, neither of the two words, a photo against
            itself, a row that comes twice, or a reference that is within and cross for the same
            subject.
        StorageError: a part cannot be read.
    """
    lists = [f"{column}{PER_REFERENCE}" for column in columns]
    table = _of_model(scores.select(["references", "extra", *lists]).table(), model)
    said, rows_left_out = _said(table)
    has_pairs = np.array([each is not None for each in said], bool)
    if not has_pairs.any():
        raise CallError(
            f"run={scores.parts[0].run}: no row has extra.pair, which says {WITHIN} or {CROSS} of "
            "each reference; jobs.pack kind=orida and kind=pairs write it"
        )
    table = table.filter(pa.array(has_pairs))
    words = [each for each in said if each is not None]
    keys, concepts = table["key"].to_pylist(), table["concept"].to_pylist()
    references = table["references"].to_pylist()
    for each in zip(keys, references, words, strict=True):
        _check(*each)
    _refuse_repeated(table)
    n = np.array([len(each) for each in words])
    rows = np.repeat(np.arange(len(words)), n)
    is_within = np.array([word == WITHIN for each in words for word in each])
    flat = [key for each in references for key in each]
    found = {
        column: _scores_of(table, name, n) for column, name in zip(columns, lists, strict=True)
    }
    return Pairs(
        rows,
        is_within,
        _subjects(keys, concepts, rows, flat, is_within),
        len(words),
        {column: values for column, (values, _) in found.items()},
        {column: causes for column, (_, causes) in found.items() if causes},
        rows_left_out,
    )


def _of_model(table: pa.Table, model: str | None) -> pa.Table:
    """The rows of one model; where it is the only one, those too that could not be read."""
    known = sorted(each for each in pc.unique(table["model"]).to_pylist() if each is not None)
    if model is None and len(known) > 1:
        raise CallError(f"model= is required: the run has {', '.join(known)}")
    if model is None or known == [model]:
        return table
    if model not in known:
        raise CallError(f"model={model}: the run has {', '.join(known) or 'no model'}")
    return table.filter(pc.equal(table["model"], model))


def _is_of_numbers(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) and pa.types.is_floating(kind.value_type)


def _said(table: pa.Table) -> tuple[list[list[Any] | None], dict[str, int]]:
    """What each row says of its pairs; by cause, the rows that say nothing of use."""
    said: list[list[Any] | None] = []
    causes: Counter[str] = Counter()
    names = ("key", "extra", "status", "concept")
    values = (table[each].to_pylist() for each in names)
    for key, text, status, concept in zip(*values, strict=True):
        pair = _pair_of(key, text)
        if pair is None or concept is None:
            causes[status if status != OK else "no concept" if pair else NO_PAIR] += 1
        said.append(None if concept is None else pair)
    return said, dict(causes)


def _pair_of(key: str, text: str | None) -> list[Any] | None:
    """What the `extra` of a row says of its pairs."""
    try:
        extra = json.loads(text) if text else {}
    except ValueError as error:
        raise CallError(f"{key}: its extra is not JSON: {error}") from error
    pair = extra.get(PAIR) if isinstance(extra, dict) else None
    if pair is not None and not isinstance(pair, list):
        raise CallError(f"{key}: extra.pair is {str(pair)[:40]!r}, expected a list")
    return pair


def _check(key: str, references: list[str] | None, words: list[Any]) -> None:
    """What a row says of its references can be."""
    n = len(references or [])
    if len(words) != n:
        raise CallError(f"{key}: extra.pair says {len(words)} things, of {n} references")
    for word in words:
        if word not in (WITHIN, CROSS):
            raise CallError(f"{key}: extra.pair has {str(word)[:40]!r}, not {WITHIN} or {CROSS}")
    if references and len(set(references)) < n:
        raise CallError(f"{key}: a reference is paired with it twice")


def _refuse_repeated(table: pa.Table) -> None:
    named = zip(table["model"].to_pylist(), table["key"].to_pylist(), strict=True)
    (_, key), times = Counter(named).most_common(1)[0]
    if times > 1:
        raise CallError(f"{key}: {times} rows; each pair would count as often")


def _scores_of(table: pa.Table, name: str, n: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    """(P,) scores of one column, and by cause how many are none.

    Args:
        n: pairs of each row.
    """
    column, status = table[name].combine_chunks(), np.array(table["status"].to_pylist(), object)
    lengths = pc.list_value_length(column).fill_null(-1).to_numpy(zero_copy_only=False)
    is_there = (status == OK) & (lengths >= 0)
    wrong = np.flatnonzero(is_there & (lengths != n))
    if len(wrong):
        key = table["key"][int(wrong[0])].as_py()
        raise CallError(f"{key}: {name} has {lengths[wrong[0]]} values, of {n[wrong[0]]} pairs")
    values = np.full(int(n.sum()), np.nan)
    kept = column.filter(pa.array(is_there)).flatten().to_numpy(zero_copy_only=False)
    if np.isinf(kept).any():
        raise CallError(f"{name}: a score is infinite")
    values[np.repeat(is_there, n)] = kept
    causes: Counter[str] = Counter()
    for why in np.unique(status[~is_there]):
        causes["null" if why == OK else why] = int(n[~is_there & (status == why)].sum())
    if n_nan := int(np.isnan(kept).sum()):
        causes["NaN"] = n_nan
    return values, dict(causes)


def _subjects(
    keys: Sequence[str],
    concepts: Sequence[str],
    rows: np.ndarray,
    references: Sequence[str],
    is_within: np.ndarray,
) -> np.ndarray:
    """(P, 2) whose photos a pair's two are.

    A reference is of the subject that it is `within` for; one that is so for none, of the subject
    of the generation that has its key.

    Raises:
        CallError: a photo is paired with itself, or a reference is said to be two subjects'.
    """
    of_within: dict[str, str] = {}
    for row, reference, within in zip(rows, references, is_within, strict=True):
        if reference == keys[row]:
            raise CallError(f"{reference}: it is paired with itself")
        concept = concepts[row]
        if within and of_within.setdefault(reference, concept) != concept:
            two = f"{of_within[reference]} and {concept}"
            raise CallError(f"{reference}: it is {WITHIN} for two subjects, {two}")
    for row, reference, within in zip(rows, references, is_within, strict=True):
        if not within and of_within.get(reference) == concepts[row]:
            raise CallError(
                f"{keys[row]}: {reference} is {CROSS} for it, and {WITHIN} for others of its "
                f"subject, {concepts[row]}"
            )
    known = dict(zip(keys, concepts, strict=True)) | of_within
    numbers = {name: number for number, name in enumerate(sorted({*concepts, *known.values()}))}
    others = [numbers[known[each]] if each in known else UNKNOWN for each in references]
    return np.stack([[numbers[concepts[row]] for row in rows], others], axis=1)
