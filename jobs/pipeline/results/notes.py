"""What a reader of a summary's figures should know before trusting them, a line each."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline.results.aggregation import STATUSES

LARGEST_COSINE = 1.001
"""With what float16 adds by rounding."""

NAMED = 3
"""Names that a line shows."""


def notes_of_names(model: pa.Table, concept: pa.Table) -> Iterator[str]:
    """Models, and concepts, that count apart though they look alike.

    Args:
        model: as `Summary.model`.
        concept: as `Summary.concept`.
    """
    for table, kind in ((model, "model"), (concept, "concept")):
        groups = look_alikes(name for name in table[kind].to_pylist() if name is not None)
        if groups:
            shown = "; ".join(", ".join(map(ascii, group)) for group in groups[:NAMED])
            more = "; ..." if len(groups) > NAMED else ""
            yield (
                f"{kind}s that differ only in spaces, case or the Unicode form of their letters "
                f"count apart: {shown}{more}"
            )


def look_alikes(names: Iterable[str]) -> list[list[str]]:
    """The names that a reader would take for one another, each group sorted.

    >>> look_alikes(["dog", "Dog ", "cat"])
    [['Dog ', 'dog']]
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        plain = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        groups.setdefault(plain, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def notes_of_values(model: pa.Table, scores: Iterable[str], said: Collection[str]) -> Iterator[str]:
    """Scores that rows which are ok lack: their means are over other samples than those of CP.

    Args:
        model: as `Summary.model`.
        scores: the score columns.
        said: those of which it is known that they are in some parts only.
    """
    n_ok = _sum(model, "n_ok")
    for score in scores:
        n_missing = n_ok - _sum(model, f"n_{score}") - _sum(model, f"n_{score}_nan")
        if n_missing and score not in said:
            rows = "all" if n_missing == n_ok else f"{n_missing:,} of {n_ok:,}"
            yield f"{score} is missing in {rows} rows that are ok; the column `error` says why"


def notes_of_rows(model: pa.Table) -> Iterator[str]:
    """Rows that this job would not have written.

    Args:
        model: as `Summary.model`.
    """
    n_unknown = _sum(model, "n") - sum(_sum(model, name) for name in STATUSES)
    if n_unknown:
        yield f"{n_unknown:,} rows have a status that is none of {', '.join(STATUSES.values())}"
    for score in ("cp", "pf"):
        least, most = pc.min(model[f"{score}_min"]).as_py(), pc.max(model[f"{score}_max"]).as_py()
        if least is not None and max(-least, most) > LARGEST_COSINE:
            yield (
                f"{score} goes from {least:.6g} to {most:.6g}, and is a cosine where this job "
                "computed it"
            )


def _sum(model: pa.Table, column: str) -> int:
    return pc.sum(model[column]).as_py() or 0
