"""The leaderboard as people read it: order, figures, and names that mean no harm."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from jobs.pipeline.results.leaderboard import leaderboard, markdown, print_leaderboard


def row(model: str | None, **figures: Any) -> dict[str, Any]:
    """A row of the model table: CP 0.5 and PF 0.2 from ten samples, unless told otherwise."""
    cells: dict[str, Any] = {"n": 10, "n_skipped": 0, "n_error": 0, "n_cp_nan": 0, "n_pf_nan": 0}
    cells |= {"cp_mean": 0.5, "cp_ci_low": 0.45, "cp_ci_high": 0.55}
    cells |= {"pf_mean": 0.2, "pf_ci_low": 0.18, "pf_ci_high": 0.22, "cp_x_pf": 0.1}
    return {"model": model, **cells, **figures}


def table_of(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows))


def in_terminal(table: pa.Table, width: int = 200, **options: Any) -> str:
    """What a terminal that wide is sent."""
    console = Console(file=io.StringIO(), width=width, **options)
    console.print(leaderboard(table))
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
