"""`HOME/history.parquet`: a row a checkpoint that was judged, in the order in which they were.

The appearing of a checkpoint's row is what makes it judged: all else is done again until then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats

from jobs.pipeline.results.comparison.verdict import Verdict

Row = Mapping[str, Any]

SUSPICION = pa.struct([("of", pa.string()), ("kind", pa.string()), ("text", pa.string())])

SCHEMA = pa.schema(
    [
        ("checkpoint", pa.string()),
        ("step", pa.int64()),
        ("time", pa.timestamp("us", "UTC")),
        ("judged", pa.timestamp("us", "UTC")),
        ("passed", pa.bool_()),
        ("verdict", pa.string()),
        ("against", pa.string()),
        ("verdict_pin", pa.string()),
        ("pin", pa.string()),
        ("run", pa.string()),
        ("model", pa.string()),
        ("n", pa.int64()),
        ("n_ok", pa.int64()),
        ("n_skipped", pa.int64()),
        ("n_error", pa.int64()),
        ("has_too_many_errors", pa.bool_()),
        ("fingerprint", pa.string()),
        ("cost_seconds", pa.float64()),
        ("cost_worker_seconds", pa.float64()),
        ("suspicions", pa.list_(SUSPICION)),
        ("floor_note", pa.string()),
        ("is_kept", pa.bool_()),
        ("untold", pa.list_(pa.string())),
    ]
)
"""Columns that every history has. Those beside them are numbers: of each score X `X_mean, X_ci_low,
X_ci_high`; of each that is compared `X_delta, X_delta_low, X_delta_high` against the last that
passed, the same with `_pin` at the end against the pinned baseline, and `X_floor` of A/A nights;
`EARLY_CONCEPTS` and `EARLY_SAVED` of checkpoints that were decided early."""

EARLY_CONCEPTS = "early_concepts"
"""Concepts that a checkpoint was decided on; null where it was scored to the end."""
EARLY_SAVED = "early_saved"
"""The share of its shards that were not scored."""

TREND_NIGHTS = 30
"""The latest checkpoints that a trend is of."""
FEWEST = 5
"""With fewer there is no trend."""


class NotAHistory(ValueError):
    """The file holds something else. The message says what is wrong."""


@dataclass(frozen=True)
class History:
    """The rows so far."""

    rows: Sequence[Row] = ()

    @classmethod
    def from_parquet(cls, content: bytes) -> History:
        """As it was written.

        Raises:
            NotAHistory: it is no Parquet, or has not the columns of a history.
        """
        try:
            table = pq.read_table(pa.BufferReader(content))
        except (pa.ArrowInvalid, OSError) as error:
            raise NotAHistory(f"no Parquet: {str(error).splitlines()[0]}") from error
        missing = [name for name in SCHEMA.names if name not in table.column_names]
        if missing:
            raise NotAHistory(f"without the columns {', '.join(missing)}")
        return cls(table.to_pylist())

    def to_parquet(self) -> bytes:
        """As it is written; a number that no row has is null there."""
        further = dict.fromkeys(key for row in self.rows for key in row if key not in SCHEMA.names)
        schema = pa.schema([*SCHEMA, *(pa.field(name, pa.float64()) for name in further)])
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(list(map(dict, self.rows)), schema), sink)
        return sink.getvalue().to_pybytes()

    @property
    def names(self) -> set[str]:
        """The checkpoints that were judged."""
        return {row["checkpoint"] for row in self.rows}

    def with_row(self, row: Row) -> History:
        """One more, at the end."""
        assert row["checkpoint"] not in self.names, "a checkpoint is judged once"
        return replace(self, rows=[*self.rows, row])

    def changed(self, checkpoint: str, **values: Any) -> History:
        """The same, with other values in a checkpoint's row."""
        rows = [{**row, **values} if row["checkpoint"] == checkpoint else row for row in self.rows]
        return replace(self, rows=rows)

    def told(self, checkpoint: str, recipient: str) -> History:
        """The same, with one fewer that is still to be told of a checkpoint."""
        [untold] = [row["untold"] for row in self.rows if row["checkpoint"] == checkpoint]
        return self.changed(checkpoint, untold=[name for name in untold if name != recipient])

    def dispensable(self, keep: int) -> list[str]:
        """Checkpoints whose rows are still there and no longer needed: neither of the latest
        `keep`, nor the last that passed."""
        last = self.last_passed
        return [
            row["checkpoint"]
            for row in self.rows[:-keep]
            if row["is_kept"] and (last is None or row["checkpoint"] != last["checkpoint"])
        ]

    @property
    def last_passed(self) -> Row | None:
        """What the next one is held against, which was scored to the end; None before the first."""
        return next(
            (row for row in reversed(self.rows) if row["passed"] and not row.get(EARLY_CONCEPTS)),
            None,
        )

    def floors(self) -> dict[str, float]:
        """By column, what the latest A/A night that has one found."""
        found: dict[str, float] = {}
        for row in self.rows:
            for name, value in row.items():
                if name.endswith("_floor") and value is not None:
                    found[name.removesuffix("_floor")] = value
        return found

    def trend(self, columns: Sequence[str]) -> dict[str, dict[str, float | int]]:
        """How each score has moved a night, over the latest `TREND_NIGHTS`.

        Theil and Sen's slope: the median of those between any two nights, which single bad nights
        do not move; with its 95 % interval, for nights that are independent, which those on one set
        of prompts are not quite. A column that fewer than `FEWEST` nights have is left out.
        """
        trends: dict[str, dict[str, float | int]] = {}
        for column in columns:
            means = [row.get(f"{column}_mean") for row in self.rows[-TREND_NIGHTS:]]
            known = np.array([np.nan if mean is None else mean for mean in means], float)
            places = np.flatnonzero(np.isfinite(known))
            if len(places) >= FEWEST:
                slope = stats.theilslopes(known[places], places)
                trends[column] = {
                    "a_night": float(slope.slope),
                    "low": float(slope.low_slope),
                    "high": float(slope.high_slope),
                    "nights": len(places),
                }
        return trends


def has_passed(*verdicts: str | None) -> bool:
    """Whether nothing that it was held against speaks against a checkpoint: improved or the same,
    or held against nothing."""
    return all(word in (None, Verdict.IMPROVED, Verdict.SAME) for word in verdicts)
