"""Values of tables, as JSON has them."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pipeline.datasets.tables import as_json_value


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (math.nan, None),
        (pd.NaT, None),
        (np.float32("nan"), None),
        (Decimal("NaN"), None),
        (np.int16(3), 3),
        (np.bool_(True), True),
        (np.float64(0.5), 0.5),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (Decimal("2.00"), 2),
        (Decimal("2.5"), 2.5),
        (date(2024, 11, 24), "2024-11-24"),
        (datetime(2024, 11, 24, 12, 30), "2024-11-24T12:30:00"),
        (datetime(2024, 11, 24, tzinfo=UTC), "2024-11-24T00:00:00+00:00"),
        (pd.Timestamp("2024-11-24"), "2024-11-24T00:00:00"),
        (time(12, 30), "12:30:00"),
        (timedelta(seconds=1.5), 1.5),
        ({1: (math.nan, {"a": date(2024, 1, 1)})}, {"1": [None, {"a": "2024-01-01"}]}),
    ],
)
def test_a_value_is_what_is_meant_by_it(value: Any, meant: Any) -> None:
    assert as_json_value(value) == meant
    assert type(as_json_value(value)) is type(meant)


@pytest.mark.parametrize("value", [math.inf, -math.inf, Decimal("inf"), b"x", 1j, [b"x"], {1: b""}])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        as_json_value(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(JSON)
def test_what_is_json_stays_as_it_is(value: Any) -> None:
    assert json.loads(json.dumps(as_json_value(value))) == value
