"""How a call becomes settings, and how a wrong call is answered."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import yaml

from jobs.pipeline.command.call import parse, run_command
from jobs.pipeline.command.settings import section, setting
from jobs.pipeline.errors import CallError


@dataclass
class Inner:
    size: int = setting(4, "how large")
    kind: Literal["a", "b"] = setting("a", "which kind")
    count: int | str = setting("auto", "how many")


@dataclass
class Outer:
    out: str = setting(help="where to")
    urls: list[str] = setting([], "what from")
    inner: Inner = section(Inner)


def test_later_words_win(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("out: x\ninner: {size: 5, kind: b}\n")
    config = parse([str(file), "inner.size=6"], Outer)
    assert config == Outer(out="x", inner=Inner(size=6, kind="b"))
    assert parse(["inner.size=6", str(file)], Outer).inner.size == 5


def test_a_list_takes_one_url_as_it_stands_or_several_in_brackets(tmp_path: Path) -> None:
    assert parse(["out=x", "urls={0..3}.tar"], Outer).urls == ["{0..3}.tar"]
    assert parse(["out=x", "urls=[a.tar, b.tar]"], Outer).urls == ["a.tar", "b.tar"]
    file = tmp_path / "a.yaml"
    file.write_text("urls: one.tar\n")
    assert parse([str(file), "out=x"], Outer).urls == ["one.tar"]


def test_a_number_or_auto() -> None:
    assert parse(["out=x", "inner.count=3"], Outer).inner.count == 3
    assert parse(["out=x", "inner.count=auto"], Outer).inner.count == "auto"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], r"out= is required: where to"),
        (["ot=x"], r"unknown setting 'ot'; did you mean 'out'\?"),
        (["out=x", "iner.size=3"], r"did you mean 'inner.size'\?"),
        (["out=x", "inner.sze=3"], r"did you mean 'inner.size'\?"),
        (["out=x", "inner=3"], r"inner is a group of settings"),
        (["out=x", "inner.size=big"], r"inner.size=big: .*'big' .*could not be converted"),
        (["out=x", "inner.kind=c"], r"inner.kind=c: .*expected one of \['a', 'b'\]"),
        (["none.yaml"], r"none.yaml: no such configuration file"),
        (["--verbose"], r"--verbose: expected FILE.yaml, key=value"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(words: list[str], message: str) -> None:
    with pytest.raises(CallError, match=message):
        parse(words, Outer)


@pytest.mark.parametrize("text", ["- a\n- b\n", "{", "a: [", "other: 1\n", "inner: {siz: 1}\n"])
def test_a_wrong_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(CallError, match=r"bad\.yaml: "):
        parse(["out=x", str(file)], Outer)


def test_a_wrong_call_is_one_line_and_status_one(capsys: pytest.CaptureFixture[str]) -> None:
    def body(config: Outer, as_json: bool) -> int:
        raise CallError("this\nis [bold]wrong[/bold]")

    assert run_command("x", Outer, body, ["out=x"]) == 1
    assert capsys.readouterr().err == "jobs.x: this is [bold]wrong[/bold]\n"


@pytest.mark.parametrize("command", ["evaluate", "pack", "reduce"])
def test_help_shows_every_setting_with_its_default(command: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", f"jobs.{command}", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    settings = [line for line in run.stdout.splitlines() if " = " in line]
    assert len(settings) >= 1
    for line in settings:
        default = line.split(" = ")[1].split("  (")[0]
        assert default == "(required)" or yaml.safe_load(default) is not Ellipsis
    if command == "evaluate":
        assert "encoder.max_num_patches = 1024  (int)" in settings
        assert "run = (required)  (str)" in settings


@pytest.mark.parametrize("recipe", sorted(Path("conf").glob("*.yaml")), ids=lambda p: p.name)
def test_every_recipe_fits_the_schema(recipe: Path) -> None:
    from jobs.pipeline.evaluation import EvaluateConfig, check

    check(parse([str(recipe), "run=x"], EvaluateConfig))
