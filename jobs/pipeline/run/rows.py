"""The columns of `scores/`: one row a sample, in the order in which the shard holds them."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from masc_core.protocol import Metric

OK = "ok"

SKIPPED = "skipped"

ERROR = "error"

PER_REFERENCE = "_per_reference"
"""What a column that compares with references is called further, where it has a value for each."""

SCORES_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("model", pa.string()),
        ("concept", pa.string()),
        ("prompt_id", pa.string()),
        ("seed", pa.int64()),
        ("prompt", pa.string()),
        ("text", pa.string()),
        ("subject", pa.string()),
        ("subject_found", pa.bool_()),
        ("cp", pa.float64()),
        ("pf", pa.float64()),
        ("references", pa.list_(pa.string())),
        ("cp_per_reference", pa.list_(pa.float64())),
        ("n_references", pa.int32()),
        ("n_ref_fg_patches", pa.list_(pa.int32())),
        ("n_fg_patches", pa.int32()),
        ("n_bg_patches", pa.int32()),
        ("n_patches", pa.int32()),
        ("grid_h", pa.int32()),
        ("grid_w", pa.int32()),
        ("fg_fraction", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        ("error", pa.string()),
        ("extra", pa.string()),
    ]
)
"""`cp` and `pf` are NaN where the metric is undefined (the reason is in `error`), and null in rows
that are not `ok`. `error` is null in a row whose two scores are numbers and
whose text was not cut."""


SAMPLE_COLUMNS = frozenset(
    {
        *("key", "shard", "offset", "length", "model", "concept", "prompt_id", "seed"),
        *("prompt", "subject"),
        *("references", "n_references", "fg_fraction", "status", "error", "extra"),
    }
)
"""What a row says of its sample, whatever is asked of it; the others are of MaSC."""

_TYPES: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int32": pa.int32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "list<int32>": pa.list_(pa.int32()),
    "list<float64>": pa.list_(pa.float64()),
}


def scores_schema(metrics: Iterable[Metric]) -> pa.Schema:
    """The schema of a run that asks these metrics.

    Raises:
        ValueError: two give a column of one name, or one that a row has anyway.
    """
    fields: dict[str, pa.Field] = {}
    for metric in metrics:
        for name, kind in metric.columns.items():
            if name in fields or name in SAMPLE_COLUMNS:
                raise ValueError(f"{metric.name}: the column {name!r} comes twice")
            fields[name] = pa.field(name, _TYPES[kind])
    named = [each for each in SCORES_SCHEMA if each.name in SAMPLE_COLUMNS or each.name in fields]
    others = [each for name, each in fields.items() if name not in SCORES_SCHEMA.names]
    return pa.schema([*named, *others])
