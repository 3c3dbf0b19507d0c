"""How a call becomes settings, and how a wrong call is answered."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jobs.pipeline.command.call import parse, run_command
from jobs.pipeline.command.settings import section, setting, table
from jobs.pipeline.errors import CallError
from tests.commands import command


@dataclass
class Inner:
    size: int = setting(4, "how large")
    kind: Literal["a", "b"] = setting("a", "which kind")
    count: int | str = setting("auto", "how many")
    share: float | str = setting("auto", "how much")
    revision: str | None = setting(None, "which")
    most: int | None = setting(None, "at most")


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


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("0", 0), ("0.5", 0.5), ("auto", "auto")])
def test_a_share_is_a_number_of_any_kind_or_auto(
    tmp_path: Path, text: str, number: float | str
) -> None:
    assert parse(["out=x", f"inner.share={text}"], Outer).inner.share == number
    file = tmp_path / "a.yaml"
    file.write_text(f"out: x\ninner: {{share: {text}}}\n")
    assert parse([str(file)], Outer).inner.share == number


TEXTS = ["2024-11-24", "007", "yes", "12:30", "1234567", "1e5", "1.10", "0x1f", "off", "1_000"]
"""What YAML would take for something else."""


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_setting_takes_the_text_as_it_stands(tmp_path: Path, text: str) -> None:
    config = parse([f"out={text}", f"inner.revision={text}", f"urls=[{text}]"], Outer)
    assert (config.out, config.inner.revision, config.urls) == (text, text, [text])
    file = tmp_path / "a.yaml"
    file.write_text(f"out: {text}\ninner: {{revision: {text}}}\nurls: [{text}, b]\n")
    config = parse([str(file)], Outer)
    assert (config.out, config.inner.revision, config.urls) == (text, text, [text, "b"])


@given(st.text(st.characters(exclude_characters="$", exclude_categories=["Cs"]), min_size=1))
def test_whatever_stands_behind_the_sign_is_the_text(text: str) -> None:
    assert parse([f"out={text}"], Outer).out == text


def test_null_is_no_value_where_there_may_be_none(tmp_path: Path) -> None:
    words = ["inner.revision=a", "inner.most=3", "inner.revision=null", "inner.most=null"]
    config = parse(["out=null", *words], Outer)
    assert (config.out, config.inner.revision, config.inner.most) == ("null", None, None)
    file = tmp_path / "a.yaml"
    file.write_text("out: 'null'\ninner: {revision: ~, most: null}\n")
    assert parse(["inner.most=3", str(file)], Outer).inner == Inner()


def test_a_number_is_decimal(tmp_path: Path) -> None:
    """010 would be 8 to YAML, and 12:30 is 750."""
    assert parse(["out=x", "inner.size=010"], Outer).inner.size == 10
    with pytest.raises(CallError, match=r"inner.size: .*'12:30'"):
        parse(["out=x", "inner.size=12:30"], Outer)


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
        (["out="], r"out= is required: where to"),
        (["out=x", "urls=[[a]]"], r"urls=\[\[a\]\]: urls: a list in a list"),
        (["out=${nothing}"], r"out: Interpolation key 'nothing' not found"),
        (["none.yaml"], r"none.yaml: no such configuration file"),
        (["--verbose"], r"--verbose: expected FILE.yaml, key=value"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(words: list[str], message: str) -> None:
    with pytest.raises(CallError, match=message):
        parse(words, Outer)


@pytest.mark.parametrize(
    "text",
    [
        "- a\n- b\n",
        "{",
        "a: [",
        "other: 1\n",
        "inner: {siz: 1}\n",
        "out: a\nout: b\n",
        "out:\n",
        "out: [a]\n",
        "out: {a: b}\n",
        "inner: {share: null}\n",
        "? [a]\n: b\n",
        "\0",
    ],
)
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


def test_a_log_level_that_is_none_is_one_line_and_status_one() -> None:
    run = command("reduce", "run=nowhere", LOG_LEVEL="loud")
    assert run.returncode == 1
    assert run.stderr == (
        "jobs.reduce: LOG_LEVEL=LOUD: no such level; use DEBUG, INFO, WARNING, ERROR or CRITICAL\n"
    )


def test_where_stderr_is_no_terminal_log_lines_are_documents() -> None:
    code = """
import logging, sys
from dataclasses import dataclass
from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.settings import setting

@dataclass
class Somewhere:
    run: str = setting("s3://me:secret@bucket/run", "a run")

def body(config, as_json):
    logging.getLogger().warning("as it is")
    return 0

sys.exit(run_command("x", Somewhere, body, []))
"""
    words = [sys.executable, "-c", code]
    environment = {**os.environ, "LOG_FORMAT": ""}
    piped = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    document = json.loads(piped.stderr)
    assert (document["message"], document["run"]) == ("as it is", "s3://bucket/run")
    ours, theirs = pty.openpty()
    subprocess.run(words, stderr=theirs, check=True, env=environment)
    os.close(theirs)
    assert os.read(ours, 1000).decode().strip().endswith("WARNING as it is")
    os.close(ours)


def test_a_log_format_that_is_none_is_one_line_and_status_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "xml")
    assert run_command("x", Outer, lambda config, as_json: 0, ["out=x"]) == 1
    said = "jobs.x: LOG_FORMAT=xml: no such format; use text or json\n"
    assert capsys.readouterr().err == said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["evaluate", "pack", "reduce"])
def test_help_shows_every_setting_with_its_default(name: str) -> None:
    run = command(name, "--help")
    assert run.returncode == 0
    settings = [line for line in run.stdout.splitlines() if " = " in line]
    assert len(settings) >= 1
    for line in settings:
        default = line.split(" = ")[1].split("  (")[0]
        assert default == "(required)" or yaml.safe_load(default) is not Ellipsis
    if name == "evaluate":
        assert "encoder.max_num_patches = 1024  (int)" in settings
        assert "run = (required)  (str)" in settings


@pytest.mark.parametrize("recipe", sorted(Path("conf").glob("*.yaml")), ids=lambda p: p.name)
def test_every_recipe_fits_the_schema(recipe: Path) -> None:
    from jobs.pipeline.evaluation import EvaluateConfig, check

    check(parse([str(recipe), "run=x"], EvaluateConfig))


@dataclass
class Gate:
    margins: dict[str, float | None] = table("by column", {"cp": 0.005, "pf": 0.005})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {"cp": 0.005, "pf": 0.005}),
        (["margins.cp=0.01"], {"cp": 0.01, "pf": 0.005}),
        (["margins={cp.leak: 0.02}"], {"cp": 0.005, "pf": 0.005, "cp.leak": 0.02}),
        (["margins.cp.leak=0.02"], {"cp": 0.005, "pf": 0.005, "cp.leak": 0.02}),
        (["margins={cp: 0.1, pf: null}"], {"cp": 0.1, "pf": None}),
        (["margins.pf=null"], {"cp": 0.005, "pf": None}),
    ],
)
def test_a_table_of_values_takes_any_name_also_with_dots(
    words: list[str], expected: dict[str, float | None]
) -> None:
    assert parse(words, Gate).margins == expected
    assert Gate().margins == {"cp": 0.005, "pf": 0.005}


@pytest.mark.parametrize("word", ["margins=5", "margins.cp=x", "margins=[cp]", "margin.cp=1"])
def test_a_table_of_values_takes_nothing_else(word: str) -> None:
    with pytest.raises(CallError):
        parse([word], Gate)
