"""The code in README and docs: Python blocks are run, and calls of commands are parsed by the
commands' own settings.

A block that can be neither has `<!-- not run: WHY -->` above it, or `<!-- run by: TEST -->`.
"""

from __future__ import annotations

import importlib
import io
import math
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jobs.__main__ import find_commands
from jobs.pipeline.command.call import parse
from jobs.pipeline.command.settings import Config
from tests.pictures import of_one_cat

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "launch/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]

BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<note>[^\n]*) -->\n+ *)?```(?P<language>\w+)\n(?P<code>.*?)\n"
    r" *```$",
    re.DOTALL | re.MULTILINE,
)

NOTE = re.compile(r"not run: .{10,}|run by: (?P<test>\S+)")

CALL = re.compile(r"(?:masc-eval|(?:\S*python )?-m jobs\.(?=\w)|python -m jobs\.)\s*(\w+)(.*)")

GATED = "google/siglip2-so400m-patch16-naflex"


@dataclass(frozen=True)
class Block:
    """Code as it stands on a page."""

    page: Path
    line: int
    language: str
    code: str
    note: str
    printed: str | None
    """What the page says that it prints."""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text()
        found = list(BLOCK.finditer(text))
        for i, match in enumerate(found):
            after = found[i + 1] if i + 1 < len(found) else None
            prints = (
                after
                and after["language"] == "text"
                and not text[match.end() : after.start()].strip()
            )
            if match["language"] in languages:
                code = re.sub(rf"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
                line = text.count("\n", 0, match.start()) + 1
                printed = after["code"] if after and prints else None
                yield Block(page, line, match["language"], code, match["note"] or "", printed)


def pages_of(language: str) -> list[Path]:
    return list(dict.fromkeys(block.page for block in blocks(language) if not block.note))


@pytest.mark.parametrize("block", [each for each in blocks("python", "bash") if each.note], ids=str)
def test_what_is_not_run_here_says_why_or_where(block: Block) -> None:
    note = NOTE.fullmatch(block.note)
    assert note, f"{block}: {block.note!r}"
    if note["test"]:
        assert (ROOT / note["test"]).is_file(), f"{block}: there is no {note['test']}"


@pytest.fixture(scope="module")
def pictures() -> dict[str, Any]:
    """What the examples name."""
    own = of_one_cat()
    one_each = {"photos": [own["photo"]], "photo_masks": [own["photo_mask"]]}
    return {**own, **one_each, "made": [(own["image"], own["mask"])]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs/first` in it, of two parts."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "runs" / "first" / "scores").mkdir(parents=True)
    (folder / "runs" / "first" / "summary").mkdir(parents=True)
    for part in range(2):
        rows = [
            {"key": f"{part}-{i}", "model": "ab"[i], "cp": 0.5 + i / 4 + part / 100, "pf": 0.25}
            | {"cp_per_reference": [0.5], "status": "ok", "error": None}
            for i in range(2)
        ]
        table = pa.Table.from_pylist(rows)
        pq.write_table(table, folder / "runs" / "first" / "scores" / f"{part}.parquet")
    models = pa.table({"model": ["a", "b"], "cp_mean": [0.505, 0.755]})
    pq.write_table(models, folder / "runs" / "first" / "summary" / "model.parquet")
    return folder


def stub_pipeline(prompt: str, **_: Any) -> Any:
    """In place of one of diffusers."""
    picture = Image.new("RGB", (96, 96), "grey")
    return type("Output", (), {"images": [picture]})


def setting_of(page: Path, pictures: dict[str, Any]) -> dict[str, Any]:
    """What a page's programs find."""
    names = dict(pictures)
    if page.name == "training.md":
        example = (ROOT / "docs" / "examples" / "diffusers_callback.py").read_text()
        exec(compile(example, "diffusers_callback.py", "exec"), names)
        names |= {
            "pipeline": stub_pipeline,
            "segment": lambda image, text: np.arange(96)[None].repeat(96, 0) < 48,
        }
    return names


@pytest.mark.parametrize("page", pages_of("python"), ids=lambda page: page.name)
def test_the_programs_of_a_page_run_in_its_order_and_print_what_it_says(
    page: Path, pictures: dict[str, Any], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(place / "cache"))
    names = setting_of(page, pictures)
    for block in blocks("python"):
        if block.page != page or block.note:
            continue
        printed = io.StringIO()
        with redirect_stdout(printed):
            code = block.code.replace(GATED, "demo")
            exec(compile(code, str(block), "exec"), names)
        if block.printed is not None:
            assert_same_figures(printed.getvalue(), block.printed, str(block))


def assert_same_figures(printed: str, shown: str, where: str) -> None:
    """The same words, and figures that differ by a unit of the last digit at most."""
    number = re.compile(r"-?\d+\.\d+")
    assert number.sub("#", printed).split() == number.sub("#", shown).split(), where
    for ours, theirs in zip(number.findall(printed), number.findall(shown), strict=True):
        digits = len(theirs.partition(".")[2])
        assert math.isclose(float(ours), float(theirs), abs_tol=1.01 * 10**-digits), where


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, id=f"{block}-{i}")
        for block in blocks("bash")
        if not block.note
        for i, line in enumerate(re.sub(r"\\\n\s*", "", block.code).splitlines())
        if CALL.search(line)
    ],
)
def test_a_call_on_a_page_is_one_that_its_command_takes(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    called = CALL.search(line)
    assert called
    name, words = called[1], shlex.split(called[2], comments=True)
    assert name in find_commands(), f"no command {name!r}"
    parsed = []

    def take(name: str, schema: type[Config], body: Callable[..., int], argv: list[str]) -> int:
        parsed.append(parse([word for word in argv if word not in FLAGS], schema))
        return 0

    module = importlib.import_module(f"jobs.{name}")
    if name == "demo":
        monkeypatch.setattr("jobs.pipeline.command.call.run_command", take)
    else:
        monkeypatch.setattr(module, "run_command", take)
    monkeypatch.setattr(sys, "argv", [name, *words])
    module.main()
    assert parsed


FLAGS = {"--json", "--watch"}


def test_the_card_of_a_published_run_names_its_tables(place: Path) -> None:
    from datasets import load_dataset

    [card] = [block for block in blocks("yaml") if block.page.name == "results.md"]
    run = place / "runs" / "first"
    (run / "README.md").write_text(f"{card.code}\n")
    cache = str(place / "cache")
    rows = load_dataset(str(run), split="train", cache_dir=cache)
    models = load_dataset(str(run), "models", split="train", cache_dir=cache)
    assert (rows.num_rows, models.column_names) == (4, ["model", "cp_mean"])
