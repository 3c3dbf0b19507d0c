"""The columns of a run are folded from what its metrics say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from jobs.pipeline.run.rows import SAMPLE_COLUMNS, SCORES_SCHEMA, scores_schema
from masc_core.masc_scores import COLUMNS


def metric(name: str, **columns: str) -> Any:
    """As far as the schema needs it."""
    return SimpleNamespace(name=name, columns=columns)


def test_masc_alone_has_every_column_of_the_schema_in_its_order() -> None:
    assert scores_schema([metric("masc", **COLUMNS)]) == SCORES_SCHEMA


def test_a_comparators_columns_come_last_with_its_own_types() -> None:
    schema = scores_schema(
        [metric("masc", **COLUMNS), metric("lpips", lpips="float64", lpips_layers="list<float64>")]
    )
    assert schema.names == [*SCORES_SCHEMA.names, "lpips", "lpips_layers"]
    assert schema.field("lpips_layers").type == pa.list_(pa.float64())


def test_without_masc_its_columns_are_not_there() -> None:
    schema = scores_schema([metric("clip_i", clip_i="float64")])
    assert set(schema.names) == SAMPLE_COLUMNS | {"clip_i"}


@pytest.mark.parametrize("name", ["cp", "key", "fg_fraction"])
def test_a_column_that_is_taken_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"^lpips: the column '{name}' comes twice$"):
        scores_schema([metric("masc", **COLUMNS), metric("lpips", **{name: "float64"})])
