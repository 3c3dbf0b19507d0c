"""Where things lie in a chart, and what is said of them, against figures worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pages.board import board
from jobs.pages.cells import MOST_NUMBERS, cells_of
from jobs.pages.charts.labels import LETTER, LINE, placed
from jobs.pages.charts.scale import Scale, scale_of
from jobs.pages.heat import COLOURS, levels_of
from jobs.pages.rendering import as_json
from jobs.pages.scatter import copies_among
from jobs.pipeline.results.summary import Summary


@given(st.lists(st.floats(-5, 5), min_size=1), st.integers(2, 8))
def test_ticks_are_round_and_within_the_scale(values: list[float], about: int) -> None:
    scale = scale_of(values, 0, 100)
    ticks = scale.ticks(about)
    assert len(ticks) <= about + 1
    numbers = [float(tick.text) for tick in ticks]
    assert all(scale.least - 1e-9 <= number <= scale.most + 1e-9 for number in numbers)
    steps = np.diff(numbers)
    if len(steps):
        assert steps == pytest.approx(steps[0])
        leading = f"{steps[0]:.0e}"[0]
        assert leading in "125"


def test_a_figure_lies_in_proportion() -> None:
    assert Scale(0.2, 0.6, 10, 110).at(0.3) == 35
    assert Scale(0, 1, 100, 0).at(0.25) == 75
    assert [tick.text for tick in Scale(-0.25, 0.3, 0, 1).ticks(5)] == ["-0.2", "0.0", "0.2"]


@given(st.lists(st.tuples(st.floats(0, 400), st.floats(0, 300)), max_size=25))
def test_no_label_covers_another_or_a_point(points: list[tuple[float, float]]) -> None:
    labels = placed(points, ["model"] * len(points), 400, 300)
    boxes = []
    for label in labels:
        if label is not None:
            long = LETTER * len(label.text)
            left = label.x - {"start": 0, "end": long, "middle": long / 2}[label.anchor]
            boxes.append((left, label.y - LINE + 3, left + long, label.y + 3))
    for number, one in enumerate(boxes):
        assert one[0] >= -0.1
        assert one[2] <= 400.1
        for other in boxes[:number]:
            assert (
                one[2] <= other[0] + 0.2
                or other[2] <= one[0] + 0.2
                or one[3] <= other[1] + 0.2
                or other[3] <= one[1] + 0.2
            )
        for x, y in points:
            assert not (one[0] < x < one[2] and one[1] < y < one[3])


def model(
    name: str, cp: float, pf: float, leak: float | None, half: float = 0.01
) -> dict[str, Any]:
    """A row of a summary, each interval so much to either side."""
    row: dict[str, Any] = {"model": name}
    for column, mean in (("cp", cp), ("pf", pf), ("cp.leak", leak)):
        row[f"{column}_mean"] = mean
        row[f"{column}_ci_low"] = None if mean is None else mean - half
        row[f"{column}_ci_high"] = None if mean is None else mean + half
    return row


HONEST = [model("a", 0.5, 0.6, 0.5), model("b", 0.6, 0.6, 0.55)]


@pytest.mark.parametrize(
    ("suspect", "is_copy"),
    [
        (model("s", 0.9, 0.1, 0.9), True),
        (model("s", 0.9, 0.1, 0.56), False),  # the leak is no higher than that of others
        (model("s", 0.9, 0.6, 0.9), False),  # it follows prompts
        (model("s", 0.62, 0.1, 0.9), True),  # CP goes up to 0.62, and its third from 0.58
        (model("s", 0.9, 0.1, None), False),  # without a leak it may be a faithful one
        (model("s", 0.9, 0.1, 0.9, half=0.4), False),  # chance may have put it there
    ],
)
def test_a_copy_is_named_where_all_three_scores_say_so(
    suspect: dict[str, Any], is_copy: bool
) -> None:
    assert ("s" in copies_among([*HONEST, suspect])) == is_copy


def test_of_two_models_none_is_called_a_copy() -> None:
    assert copies_among([HONEST[0], model("s", 0.9, 0.1, 0.9)]) == set()


def summary(*rows: dict[str, Any]) -> Summary:
    full = [
        {"n": 9, "cp_x_pf": row["cp_mean"] * row["pf_mean"], "n_cp_nan": 0, "n_pf_nan": 0, **row}
        for row in rows
    ]
    counts = ("n_skipped", "n_error", "n_subject_missing", "n_subject_not_found")
    table = pa.Table.from_pylist([{**dict.fromkeys(counts, 0), **row} for row in full])
    return Summary(table, table, table, 1, {}, [], None)


def test_overlapping_intervals_are_named() -> None:
    # CP: [0.49, 0.51], [0.505, 0.525], [0.69, 0.71]; PF: each [0.59, 0.61] meets each.
    rows = [model("a", 0.5, 0.6, 0.5), model("b", 0.515, 0.6, 0.5), model("c", 0.7, 0.6, 0.5)]
    found = board(summary(*rows), ["c", "b", "a"], ["cp", "pf"])
    assert found.overlaps == [
        "CP: the intervals of b and a overlap (1 of 3 pairs).",
        "PF: the intervals of all models overlap one another.",
    ]
    assert [line.name for line in found.lines] == ["c", "b", "a"]
    assert found.lines[0].scores[0].interval == "[0.690, 0.710]"


def test_colours_span_the_ends() -> None:
    found = levels_of(np.array([-1.0, 0.0, 0.5, 1.0, 2.0, np.nan]), (0.0, 1.0))
    assert found.tolist() == [0, 0, len(COLOURS) // 2, len(COLOURS) - 1, len(COLOURS) - 1, -1]
    assert levels_of(np.array([0.5]), (0.5, 0.5)).tolist() == [0]


def test_of_too_many_cells_the_concepts_of_the_lowest_cp_are_kept() -> None:
    n_concepts = MOST_NUMBERS // 3 + 10
    names = [f"{place:06d}" for place in range(n_concepts)]
    cp = np.linspace(1, 0, n_concepts)
    concept = pa.table({"concept": names, "cp_mean": cp})
    cells = pa.table(
        {
            "model": ["m"] * n_concepts,
            "concept": names,
            "n_ok": np.ones(n_concepts, int),
            "cp_mean": cp,
            "pf_mean": cp,
            "x_mean": cp,
        }
    )
    found = cells_of(Summary(cells, concept, cells, 1, {}, [], None), ["m"], ["cp", "pf", "x"])
    assert (len(found.concepts), found.n_concepts) == (MOST_NUMBERS // 3, n_concepts)
    assert found.concepts == names[10:]
    assert found.left_out == ["x"]
    assert found.means["cp"].shape == (1, MOST_NUMBERS // 3)


def test_data_cannot_end_the_element_that_it_stands_in() -> None:
    text = str(as_json({"a": "</SCRIPT><!--\u2028&"}))
    assert not set("<>&\u2028") & set(text)
