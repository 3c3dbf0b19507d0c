"""The leaderboard as people read it: order, figures, and names that mean no harm."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from jobs.pipeline.results.leaderboard import (
    further_scores,
    leaderboard,
    markdown,
    print_leaderboard,
)


def row(model: str | None, **figures: Any) -> dict[str, Any]:
    """A row of the model table: CP 0.5 and PF 0.2 from ten samples, unless told otherwise."""
    cells: dict[str, Any] = {"n": 10, "n_skipped": 0, "n_error": 0, "n_cp_nan": 0, "n_pf_nan": 0}
    cells |= {"cp_mean": 0.5, "cp_ci_low": 0.45, "cp_ci_high": 0.55}
    cells |= {"pf_mean": 0.2, "pf_ci_low": 0.18, "pf_ci_high": 0.22, "cp_x_pf": 0.1}
    return {"model": model, **cells, **figures}


def table_of(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows))


def in_terminal(table: pa.Table, width: int = 200, further: Sequence[str] = ()) -> str:
    """What a terminal that wide is sent."""
    console = Console(file=io.StringIO(), width=width)
    console.print(leaderboard(table, further))
    return console.file.getvalue()  # type: ignore[attr-defined]


def in_markdown(table: pa.Table) -> list[list[str]]:
    """The cells of the Markdown table's body, split where Markdown splits them."""
    lines = [line for line in markdown(table).splitlines() if line.startswith("|")][2:]
    kept = [line.replace(r"\\", "\0").replace(r"\|", "\1").strip("| ") for line in lines]
    return [
        [cell.strip().replace("\1", r"\|").replace("\0", r"\\") for cell in line.split("|")]
        for line in kept
    ]


def test_models_are_ranked_by_the_product_of_cp_and_pf() -> None:
    table = table_of(row("low", cp_x_pf=0.05), row("high", cp_x_pf=0.3), row("middle"))
    assert [cells[:2] for cells in in_markdown(table)] == [
        ["1", "high"],
        ["2", "middle"],
        ["3", "low"],
    ]


def means(cp: float, pf: float) -> dict[str, float]:
    return {"cp_mean": cp, "pf_mean": pf, "cp_x_pf": cp * pf}


def test_a_mean_that_is_not_positive_ranks_by_the_sum_after_all_products() -> None:
    # By the product alone the worst of all, both of whose means are negative, would be first.
    table = table_of(
        row("both-negative", **means(-0.9, -0.9)),
        row("tiny", **means(0.01, 0.01)),
        row("no-cp", **means(0.0, 0.4)),
        row("copies", **means(0.9, -0.1)),
        row("fair", **means(0.5, 0.3)),
    )
    order = [cells[1] for cells in in_markdown(table)]
    assert order == ["fair", "tiny", "copies", "no-cp", "both-negative"]
    assert [cells[0] for cells in in_markdown(table)] == ["1", "2", "3", "4", "5"]


def test_the_footnote_says_how_models_are_ranked() -> None:
    positive, negative = table_of(row("a")), table_of(row("a"), row("b", **means(0.5, -0.2)))
    rule = (
        "Models with a mean that is not positive stand after the others, by the sum of their means"
    )
    for table in (positive, negative):
        assert "Ranked by CP×PF" in markdown(table)  # noqa: RUF001
        assert rule in markdown(table)
    assert rule not in in_terminal(positive)
    assert rule in in_terminal(negative)


def further(score: str, mean: float | None, n_nan: int = 0) -> dict[str, Any]:
    """The cells of a further score column."""
    low, high = (None, None) if mean is None else (mean - 0.05, mean + 0.05)
    cells = {f"{score}_mean": mean, f"{score}_ci_low": low, f"{score}_ci_high": high}
    return {**cells, f"{score}_macro": mean, f"n_{score}_nan": n_nan}


def test_the_document_shows_every_score_column_and_the_terminal_those_asked_for() -> None:
    cells = further("cp@dilate:5", 0.5) | further("cp.leak", 0.25, n_nan=2)
    table = table_of(row("m", **cells))
    assert further_scores(table) == ["cp@dilate:5", "cp.leak"]
    [shown] = in_markdown(table)
    assert shown[5:] == ["0.100", "0.500 [0.450, 0.550]", "0.250 [0.200, 0.300]", "2"]
    assert "| cp@dilate:5 (95 % CI) | cp.leak (95 % CI) | cp.leak NaN |" in markdown(table)
    sent = in_terminal(table, further=["cp.leak"])
    assert "cp.leak (95 % CI)" in sent and "0.250 [0.200, 0.300]" in sent
    assert "dilate" not in sent
    assert "leak" not in in_terminal(table)


def test_a_further_column_that_a_model_lacks_is_a_dash() -> None:
    table = table_of(row("a", **further("clip_i", 0.5)), row("b", **further("clip_i", None)))
    assert [cells[-1] for cells in in_markdown(table)] == ["0.500 [0.450, 0.550]", "–"]  # noqa: RUF001


def test_a_further_column_that_is_not_there_yet_is_a_dash() -> None:
    assert in_terminal(table_of(row("m")), further=["clip_i"]).splitlines()[-1].split()[-1] == "–"  # noqa: RUF001


def test_subjects_that_stayed_in_prompts_have_a_column_where_there_are_some() -> None:
    counts = {"n_subject_missing": 0, "n_subject_not_found": 0}
    some = table_of(row("a", **counts), row("b", **counts | {"n_subject_not_found": 3}))
    assert "| CP×PF | subject not found |" in markdown(some)  # noqa: RUF001
    assert [cells[-1] for cells in in_markdown(some)] == ["0", "3"]
    assert "subject not found" in in_terminal(some)
    missing = table_of(row("a", **counts | {"n_subject_missing": 1_234}))
    assert in_markdown(missing)[0][-1] == "1,234"
    assert "subject" not in markdown(table_of(row("a", **counts)))
    unknown = table_of(row("a", **dict.fromkeys(counts)))
    assert "subject" not in markdown(unknown)


def test_notes_stand_below_the_document_as_they_are() -> None:
    shown = markdown(table_of(row("m")), ["clip_i in 412 of 1,000 parts", "a|b\n<i>"])
    assert shown.endswith("\n- clip_i in 412 of 1,000 parts.\n- a\\|b &lt;i&gt;.\n")


@pytest.mark.parametrize("absent", [None, float("nan")], ids=["null", "NaN"])
def test_a_model_without_a_product_comes_last_and_has_no_rank(absent: float | None) -> None:
    unscored = row("a", cp_mean=absent, cp_ci_low=absent, cp_ci_high=absent, cp_x_pf=absent)
    board = in_markdown(table_of(unscored, row("z", cp_x_pf=-0.1)))
    assert board[0][:2] == ["1", "z"]
    assert board[1] == ["–", "a", "10", "–", "0.200 [0.180, 0.220]", "–"]  # noqa: RUF001


def test_equal_models_are_in_the_order_of_their_names() -> None:
    board = in_markdown(table_of(row("b"), row(None), row("a")))
    assert [cells[1] for cells in board] == ["a", "b", "(unknown)"]


def test_a_mean_has_three_decimals_and_its_interval_beside_it() -> None:
    table = table_of(row("m", n=12_345, cp_mean=2 / 3, cp_ci_low=0.6, cp_ci_high=0.7))
    assert in_markdown(table) == [
        ["1", "m", "12,345", "0.667 [0.600, 0.700]", "0.200 [0.180, 0.220]", "0.100"]
    ]


def test_a_mean_without_an_interval_stands_alone() -> None:
    table = table_of(row("m", cp_ci_low=None, cp_ci_high=None))
    assert in_markdown(table)[0][3] == "0.500"


def test_rows_that_were_not_scored_have_a_column_only_where_there_are_some() -> None:
    table = table_of(row("a", n_error=3), row("b", n_pf_nan=1))
    assert "| CP×PF | errors | PF NaN |" in markdown(table)  # noqa: RUF001
    assert [cells[-2:] for cells in in_markdown(table)] == [["3", "0"], ["0", "1"]]
    for header in ("skipped", "CP NaN"):
        assert header not in markdown(table)
        assert header not in in_terminal(table)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a|b", r"a\|b"),
        ("a\nb\r\nc", "a b  c"),
        ("<img src=x>&", "&lt;img src=x&gt;&amp;"),
        ("[text](javascript:x)", r"\[text\](javascript:x)"),
        ("back\\slash|`code`", r"back\\slash\|\`code\`"),
        ("sdxl_base_1.0", "sdxl_base_1.0"),
        (None, "(unknown)"),
    ],
)
def test_markdown_shows_a_name_as_it_stands_in_one_cell(name: str | None, shown: str) -> None:
    [cells] = in_markdown(table_of(row(name)))
    assert cells[1] == shown
    assert len(cells) == 6


def test_the_terminal_shows_brackets_in_a_name_as_they_stand() -> None:
    assert "[bold]lora[/bold] [/]" in in_terminal(table_of(row("[bold]lora[/bold] [/]")))


def test_a_name_cannot_send_the_terminal_commands() -> None:
    sent = in_terminal(table_of(row("evil\x1b]0;title\x07\x1b[31m\nred")))
    assert "\x1b" not in sent and "\x07" not in sent
    assert "evil ]0;title  [31m red" in sent


def test_the_terminal_names_rows_without_a_model() -> None:
    assert "(unknown)" in in_terminal(table_of(row(None)))


def test_a_narrow_terminal_folds_names_and_cuts_no_number() -> None:
    name = "checkpoints/run-17/step-" + "0" * 60
    sent = in_terminal(table_of(row(name, n=1_234_567)), width=80)
    assert "…" not in sent
    for figure in ("1,234,567", "0.500 [0.450, 0.550]", "0.200 [0.180, 0.220]", "0.100"):
        assert figure in sent


@pytest.mark.parametrize("width", [12, 20, 30, 40, 59])
def test_a_terminal_too_narrow_for_a_table_stacks_and_drops_nothing(width: int) -> None:
    name = "checkpoints/run-17/step-1000"
    cells = further("cp.leak", 0.25) | {"n": 1_234_567, "n_error": 89}
    table = table_of(row(name, **cells), row("other", **further("cp.leak", 0.5)))
    sent = in_terminal(table, width=width, further=["cp.leak"])
    assert "…" not in sent
    assert max(map(len, sent.splitlines())) <= width
    whole = "".join(sent.split())
    for shown in (name, "other", "1,234,567", "0.500[0.450,0.550]", "0.250[0.200,0.300]", "89"):
        assert shown in whole
    for header in ("CP(95%CI)", "PF(95%CI)", "CP×PF", "cp.leak(95%CI)", "errors"):  # noqa: RUF001
        assert whole.count(header) == 2


def test_a_stacked_model_is_its_name_and_a_line_a_figure() -> None:
    sent = in_terminal(table_of(row("m")), width=40)
    assert [line.rstrip() for line in sent.splitlines()] == [
        "1 m",
        "   n            10",
        "   CP (95 % CI) 0.500 [0.450, 0.550]",
        "   PF (95 % CI) 0.200 [0.180, 0.220]",
        "   CP×PF        0.100",  # noqa: RUF001
    ]


def test_a_table_is_shown_from_the_width_on_at_which_it_fits() -> None:
    table = table_of(row("a-model-with-a-name"))
    widths = [width for width in range(30, 120) if "#" in in_terminal(table, width=width)]
    assert widths == list(range(widths[0], 120))
    assert widths[0] < 80
    assert max(map(len, in_terminal(table, width=widths[0]).splitlines())) <= widths[0]


def test_a_pipe_gets_one_line_a_model_however_long_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "checkpoints/run-17/step-" + "0" * 200
    print_leaderboard(table_of(row(name)))
    [line] = [line for line in capsys.readouterr().out.splitlines() if name in line]
    assert "0.500 [0.450, 0.550]" in line


def test_a_run_without_rows_is_a_board_without_models() -> None:
    empty = table_of(row("m")).slice(0, 0)
    assert in_markdown(empty) == []
    assert "CP×PF" in in_terminal(empty)  # noqa: RUF001
