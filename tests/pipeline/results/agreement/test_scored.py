"""Which question a run's columns answer."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from jobs.pipeline.results.agreement.scored import aspects_of_columns
from jobs.pipeline.run.scores import open_scores
from tests.pipeline.results.test_summary import sample, schema_with, write_part


def test_a_column_with_a_value_a_reference_is_of_cp_and_any_other_of_pf(tmp_path: Path) -> None:
    names = ["cp@sam", "pf@sam", "cp.leak", "clip_t", "mine", "yours", "pf.full.full"]
    lists = pa.field("mine_per_reference", pa.list_(pa.float64()))
    schema = pa.schema([*schema_with(*names), lists])
    write_part(str(tmp_path), "part", [sample()], schema=schema)
    assert aspects_of_columns(open_scores([str(tmp_path)])) == {
        "cp": "cp",
        "pf": "pf",
        "cp@sam": "cp",
        "pf@sam": "pf",
        "clip_t": "pf",
        "mine": "cp",
        "yours": "pf",
        "pf.full.full": "pf",
    }
