"""The image's recipe: what can be known of it without building it."""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.launch.dockerfile import ROOT, copied, instructions, pip_words
from tests.launch.validators import read

HADOLINT = Path(sys.prefix) / "bin" / "hadolint"


def hadolint(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HADOLINT, "--no-color", "-"], input=text, capture_output=True, text=True, check=False
    )


def test_hadolint_has_no_complaint_and_would_have() -> None:
    text = (ROOT / "Dockerfile").read_text()
    clean = hadolint(text)
    assert (clean.returncode, clean.stdout) == (0, "")
    unpinned = text.replace("FROM ${BASE} AS build", "FROM ubuntu:latest AS build")
    assert "DL3007" in hadolint(unpinned).stdout
    assert "DL3013" in hadolint(f"{text}RUN pip install ray\n").stdout


@pytest.mark.parametrize("source", copied())
def test_what_is_copied_is_there_and_not_ignored(source: str) -> None:
    assert (ROOT / source).exists()
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and (fnmatch(source, pattern) or source == pattern):
            ignored = not line.startswith("!")
    assert not ignored


def test_the_context_holds_no_credentials_nor_data() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] != "#"]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied())


def test_every_installation_is_constrained() -> None:
    calls = list(pip_words())
    assert len(calls) == 3
    for words in calls:
        assert words[words.index("--constraint") + 1] == "constraints.txt"
        assert "--upgrade" not in words


def test_it_runs_as_nobody_special_with_tini_before_the_command() -> None:
    last = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert last.startswith("base-${DEVICE}\n")
    assert re.findall(r"^USER (.+)$", last, re.MULTILINE) == ["1001"]
    assert 'ENTRYPOINT ["tini", "--"]' in last


def test_each_device_has_its_stages() -> None:
    stages = {rest.rpartition(" AS ")[2] for name, rest in instructions() if name == "FROM"}
    release = read(ROOT / ".github" / "workflows" / "release.yaml")
    for each in release["jobs"]["image"]["strategy"]["matrix"]["include"]:
        assert {f"build-{each['device']}", f"base-{each['device']}"} <= stages


def test_bases_have_tags_which_a_release_turns_into_digests() -> None:
    args = dict(text.split("=") for name, text in instructions() if name == "ARG")
    assert args.pop("DEVICE") == "cuda"
    assert set(args) == {"BASE", "CUDA_BASE"}
    assert all(
        re.fullmatch(r"[a-z/]+:[\w.-]*ubuntu24\.04|ubuntu:24\.04", each) for each in args.values()
    )
    release = (ROOT / ".github" / "workflows" / "release.yaml").read_text()
    for name in args:
        assert f"{name}=${{{{ steps.bases.outputs.{name} }}}}" in release
