"""The columns of `scores/`: one row a sample, in the order in which the shard holds them."""

from __future__ import annotations

import pyarrow as pa

OK = "ok"

SKIPPED = "skipped"

ERROR = "error"

SCORES_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
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


def scores_schema(metric_columns: list[str]) -> pa.Schema:
    """The schema of a run that also asks for `metric_columns`, each a float64."""
    schema = SCORES_SCHEMA
    for name in metric_columns:
        schema = schema.append(pa.field(name, pa.float64()))
    return schema
