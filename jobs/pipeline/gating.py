"""Deciding a run while it goes on: shards in a random order, and a look after each of them.

1. The shards come in an order that a seed and their ids alone decide. A look is at the first k of
   them, whichever workers were done first: so it is the same after a kill, and where the verdict
   stands is a matter of the data, not of the night.
2. A concept counts once it has as many rows as the baseline has of it: what is still to come of one
   would be a part of it that is no random one.
3. Its pairs with the baseline are made as `jobs.compare` makes them, and `results.comparison.early`
   says whether the verdict stands.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline.comparison import CompareConfig, rules_of
from jobs.pipeline.errors import CallError
from jobs.pipeline.results.comparison.comparing import Rules
from jobs.pipeline.results.comparison.early import EarlyRules, Look, look
from jobs.pipeline.results.comparison.fingerprints import differing_ways
from jobs.pipeline.results.comparison.opening import MEMORY_LIMIT, matched_models, models_of
from jobs.pipeline.results.comparison.pairing import PRODUCT, Side, make_pairs
from jobs.pipeline.results.comparison.verdict import worst
from jobs.pipeline.results.database import connected
from jobs.pipeline.results.numbers import number
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.early import EARLY, EarlyEnd, early_end
from jobs.pipeline.run.scores import open_scores
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.run.stale import open_counted
from jobs.pipeline.storage.filesystem import absolute
from jobs.pipeline.storage.redaction import redact

log = logging.getLogger(__name__)

SEED = 0
"""Of the order of shards."""
SHARDS_WITHOUT_A_CONCEPT = 5
"""After so many it is said that shards are not packed by concept."""
KEYS = ("model", "concept", "status", "prompt_id", "prompt", "seed")
"""What rows are paired by."""


class Gate:
    """Looks at a run's parts, and knows when no more of them are needed. A `cluster.Enough`."""

    def __init__(
        self,
        against: Sequence[CompareConfig],
        run: str,
        shards: Sequence[Shard],
        columns: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        """Read the baselines.

        Args:
            against: how the run is held against each baseline; all have to be decided.
            shards: all that the run is of.
            columns: says which a part has to have before it is looked at, beside those that are
                gated; all but those of later passes, once it is known what these have.

        Raises:
            CallError: a baseline is none, or nothing is gated.
            StorageError: it cannot be read.
        """
        self._run = RunDirectory(run)
        self._sides = [_Baseline(config, run) for config in against]
        order = sorted(shards, key=lambda shard: shard.id)
        random.Random(SEED).shuffle(order)
        self._order = order
        self._place = {shard.id: place for place, shard in enumerate(order)}
        self._columns = columns
        self._tables: list[pa.Table] = []
        """Of the first shards, as many as were looked at."""
        self._looks: list[dict[str, Any]] = []
        self._end: EarlyEnd | None = None

    def in_order(self, shards: Iterable[Shard]) -> list[Shard]:
        """The same shards, as they are to be done."""
        return sorted(shards, key=lambda shard: self._place[shard.id])

    def is_enough(self) -> bool:
        """Whether the verdict stands; looks at what was committed since it was last asked.

        Raises:
            CallError: the run was scored in another way than a baseline, or is of several models.
            StorageError: a part cannot be read.
        """
        while self._end is None and len(self._tables) < len(self._order) - 1:
            table = self._table_of(self._order[len(self._tables)])
            if table is None:
                break
            if not self._tables:
                for side in self._sides:
                    side.require_same_way(self._run.url)
            self._tables.append(table)
            self._look()
        return self._end is not None

    def described(self, n_not_done: int) -> dict[str, Any]:
        """What `run.json` says of it: the order, what was seen, and what was decided on."""
        end = self._end
        found: dict[str, Any] = {
            "seed": SEED,
            "against": [side.shown for side in self._sides],
            "confidence": self._sides[0].rules.confidence,
            "min_concepts": self._sides[0].rules.min_concepts,
            "margins": dict(self._sides[0].rules.gate),
            "looks": self._looks,
        }
        if end is not None and n_not_done:
            found |= replace(end, n_shards_not_done=n_not_done).document()
        return {EARLY: found}

    def _table_of(self, shard: Shard) -> pa.Table | None:
        """The rows of a shard; None while they are not all there."""
        part = self._run.read_part(shard)
        if part is None or part.table is None or part.footer.source != shard.source:
            return None
        columns = [*KEYS, *dict.fromkeys(c for side in self._sides for c in side.scores)]
        if not {*self._columns(), *columns} <= set(part.table.column_names):
            return None  # this pass is to bring them
        return part.table.select(columns).replace_schema_metadata(None)

    def _look(self) -> None:
        rows = pa.concat_tables(self._tables, promote_options="permissive")
        seen = [side.look(rows) for side in self._sides]
        for side, (found, _) in zip(self._sides, seen, strict=True):
            self._looks.append(
                {
                    "against": side.shown,
                    "shards": len(self._tables),
                    "concepts": found.concepts,
                    "verdict": found.verdict,
                    "columns": {
                        column: [number(each.low), number(each.mean), number(each.high)]
                        for column, each in found.intervals.items()
                    },
                }
            )
        if len(self._tables) == SHARDS_WITHOUT_A_CONCEPT and not any(whole for _, whole in seen):
            log.warning(
                "no concept has all the rows that the baseline has of it after %d of %d shards, so "
                "little is decided early; jobs.pack by=concept keeps a concept's samples together",
                *(len(self._tables), len(self._order)),
            )
        verdicts = [found.verdict for found, _ in seen if found.verdict is not None]
        if len(verdicts) < len(seen):
            return
        verdict = worst(verdicts)
        concepts = sorted(set.union(*(set(names) for _, names in seen)))
        self._end = EarlyEnd(
            *(str(verdict), concepts, max(side.n_concepts for side in self._sides)),
            *([shard.id for shard in self._order[: len(self._tables)]], len(self._order), 0),
        )
        log.info("the verdict stands, %s after %d concepts", verdict, len(concepts))


class _Baseline:
    """One run that the gate holds the candidate against."""

    def __init__(self, config: CompareConfig, run: str) -> None:
        self._config = config
        self.rules: Rules = rules_of(config)
        self.shown = redact(absolute(config.baseline))
        if not self.rules.gate:
            raise CallError("gate: no column is left in it, so nothing could ever be decided early")
        if absolute(config.baseline).rstrip("/") == absolute(run).rstrip("/"):
            raise CallError(f"baseline={self.shown}: it is the run itself")
        try:
            end = early_end(RunDirectory(config.baseline).read_description())
        except ValueError as error:
            raise CallError(f"baseline={self.shown}: run.json {error}") from error
        if end is not None:
            raise CallError(f"baseline={self.shown}: {end}, so it is no baseline")
        gated = list(self.rules.gate)
        self.scores = [c for c in gated if c != PRODUCT]
        self.scores += [c for c in ("cp", "pf") if PRODUCT in gated and c not in gated]
        opened = open_counted([config.baseline])
        for column in self.scores:
            if not opened.n_parts_with(column):
                raise CallError(f"baseline={self.shown}: no column {column!r}, which is gated")
        self._parts = opened.parts
        self._rows = opened.select([*KEYS, *self.scores]).table()  # of all its models as yet
        self._rules = EarlyRules(
            *(self.rules.gate, self.rules.lower_is_better),
            *(self.rules.confidence, self.rules.min_concepts),
        )
        self._model = self._only_model()
        self._rows = self._rows.filter(pc.equal(self._rows["model"], self._model))
        self._counts = Counter(filter(None, self._rows["concept"].to_pylist()))
        self.n_concepts = len(self._counts)

    def require_same_way(self, run: str) -> None:
        """Make sure that the parts that are there can be compared.

        Raises:
            CallError: they were scored in another way.
        """
        different = differing_ways(self._parts, open_scores([run]).parts, self.rules.columns)
        if different and not self._config.allow_different:
            raise CallError(f"scored in another way than {self.shown}: {'; '.join(different)}")

    def look(self, rows: pa.Table) -> tuple[Look, list[str]]:
        """What these rows of the candidate say, and the concepts that count."""
        counts = Counter(rows["concept"].to_pylist())
        whole = [name for name, n in self._counts.items() if counts[name] >= n]
        with connected(MEMORY_LIMIT) as connection:
            for view, table in (("baseline", self._rows), ("candidate", rows)):
                connection.register(
                    view, table.filter(pc.is_in(table["concept"], pa.array(whole, pa.string())))
                )
            models = models_of(connection, "candidate")
            if not models:
                return look(dict.fromkeys(self.rules.gate, np.empty(0)), 0, self._rules), []
            [(_, model)] = matched_models(
                [self._model], models, self._model, self._config.candidate_model
            )
            pairs = make_pairs(
                connection,
                Side("baseline", self._model),
                Side("candidate", model),
                list(self.rules.gate),
                self.rules.pair_by,
            )
        means = {column: pairs.columns[column].known for column in self.rules.gate}
        return look(means, self.n_concepts, self._rules), whole

    def _only_model(self) -> str:
        models = sorted({name for name in self._rows["model"].to_pylist() if name is not None})
        named = self._config.baseline_model
        if named is not None and named not in models:
            raise CallError(f"baseline_model={named}: the baseline has {', '.join(models)}")
        if named is None and len(models) != 1:
            raise CallError(
                f"baseline={self.shown}: early=true holds one model against one, and it has "
                f"{', '.join(models) or 'none'}; name baseline_model="
            )
        return named or models[0]
