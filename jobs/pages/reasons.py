"""Why rows have no score, or one to be careful with: each kind of reason, and how often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import duckdb

from jobs.pipeline.run.reports import kind_of
from jobs.pipeline.run.rows import ERROR, OK, SKIPPED

MOST_KINDS = 40
"""That are told apart, by status; the rest is counted together."""
OTHER = "other reasons"
UNSAID = "no reason is given"
MOST_TEXTS = 20_000
"""Different texts, numbers and names taken out, that are looked at one by one."""

WORDS = {OK: "scored, with a remark", SKIPPED: "skipped", ERROR: "not scored"}


@dataclass(frozen=True)
class Reason:
    """One kind."""

    status: str
    """Of its rows; one that is `ok` lacks a score, or has one to be careful with."""
    kind: str
    n: int
    n_models: int
    """That have such rows."""
    example: str | None
    """Key of one of them; None where the rest is counted together."""

    @property
    def word(self) -> str:
        """What became of the rows."""
        return WORDS.get(self.status, self.status)


def select_reasons(connection: duckdb.DuckDBPyConnection) -> list[Reason]:
    """Of the view `scores`, errors first, and the most frequent.

    Args:
        connection: has that view, with `key, model, status, error`.
    """
    # As `kind_of` does, so that millions of texts that differ in a name are one before Python.
    plain = r"""regexp_replace(regexp_replace(left(error, 400), '''[^'']*''|"[^"]*"', '...', 'g'),
        '\d+(\.\d+)?', 'N', 'g')"""
    rows = connection.execute(
        f"""SELECT status, {plain} AS plain, count(*) AS n, list(DISTINCT model) AS models,
            min(key) AS example
        FROM scores WHERE status <> '{OK}' OR coalesce(error, '') <> ''
        GROUP BY status, plain ORDER BY n DESC, plain LIMIT {MOST_TEXTS}"""
    ).fetchall()
    n: Counter[tuple[str, str]] = Counter()
    models: dict[tuple[str, str], set[str | None]] = {}
    examples: dict[tuple[str, str], str] = {}
    for status, text, count, of_models, example in rows:
        key = status, kind_of(text) if text else UNSAID
        n[key] += count
        models.setdefault(key, set()).update(of_models or [None])
        examples.setdefault(key, example)
    reasons = [
        Reason(status, kind, count, len(models[status, kind]), examples[status, kind])
        for (status, kind), count in n.items()
    ]
    order = [ERROR, SKIPPED, OK]
    reasons.sort(key=lambda each: (_place(order, each.status), -each.n, each.kind))
    return [kept for status in order for kept in _fewest(reasons, status)] + [
        each for each in reasons if each.status not in order
    ]


def _fewest(reasons: list[Reason], status: str) -> list[Reason]:
    own = [each for each in reasons if each.status == status]
    few, rest = own[:MOST_KINDS], own[MOST_KINDS:]
    if rest:
        n, n_models = sum(each.n for each in rest), max(each.n_models for each in rest)
        few.append(Reason(status, OTHER, n, n_models, None))
    return few


def _place(order: list[str], status: str) -> int:
    return order.index(status) if status in order else len(order)
