"""The site beside docs/: its links, its pages of other folders, and the commands' --help."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.__main__ import find_commands

ROOT = Path(__file__).parents[1]

LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


@pytest.fixture(scope="module")
def pages() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "site_pages.py"))


def navigation(entries: list[Any]) -> list[str]:
    found = []
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        found += navigation(value) if isinstance(value, list) else [value]
    return found


def test_every_page_is_in_the_navigation_and_nothing_else(pages: dict[str, Any]) -> None:
    listed = navigation(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    own = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert sorted(listed) == sorted(own | set(pages["ELSEWHERE"].values()) | {"commands.md"})


def test_every_link_leads_to_a_page_or_a_file(pages: dict[str, Any]) -> None:
    others = set(pages["ELSEWHERE"].values()) | {"commands.md"}
    linked = pages["linked"]
    texts = {path.name: linked(path.read_text()) for path in (ROOT / "docs").glob("*.md")}
    for path, name in pages["ELSEWHERE"].items():
        texts[name] = linked((ROOT / path).read_text(), str(Path(path).parent))
    broken = [
        f"{name}: {link}"
        for name, text in texts.items()
        for link in LINK.findall(text)
        if link not in others and not (ROOT / "docs" / link).is_file()
    ]
    assert not broken


def test_a_commands_page_is_what_help_prints(pages: dict[str, Any]) -> None:
    page = pages["commands_page"](["reduce"])
    assert page.startswith("# Every command\n\n## reduce\n\n```text\n")
    assert "run = []  (list)" in page
    assert "\x1b" not in page


def test_what_the_reference_names_is_there() -> None:
    page = (ROOT / "docs" / "reference.md").read_text()
    for name in re.findall(r"^::: (\S+)", page, re.MULTILINE):
        module, _, member = name.rpartition(".")
        path = ROOT / Path(*module.split(".")).with_suffix(".py")
        if path.is_file():
            assert re.search(rf"^(class|def) {member}\b", path.read_text(), re.MULTILINE), name
        else:
            assert (ROOT / Path(*name.split("."))).with_suffix(".py").is_file(), name


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [*words, str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    commands = (tmp_path / "commands" / "index.html").read_text()
    headings = re.findall(r'<h2 id="(\w+)"', commands)
    assert headings == list(find_commands())
    assert "differentiable in them" in (tmp_path / "reference" / "index.html").read_text()
