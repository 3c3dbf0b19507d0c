"""The image's recipe: what can be known of it without building it."""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.launch.dockerfile import ROOT, copied, instructions, pip_words

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


def test_both_images_run_as_nobody_special_with_tini_before_the_command() -> None:
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    finals = [stage for stage in stages if stage.split("\n")[0].endswith((" AS cpu", " AS cuda"))]
    assert len(finals) == 2
    for stage in finals:
        users = re.findall(r"^USER (.+)$", stage, re.MULTILINE)
        assert users == ["1001"]
        assert 'ENTRYPOINT ["tini", "--"]' in stage
    # Beside where they come from they are the same.
    cpu, cuda = (re.sub(r"#.*\n", "", stage.split("\n", 1)[1]) for stage in finals)
    assert cpu.replace("build-cpu", "build-cuda").strip() == cuda.strip()


def test_bases_have_tags_which_a_release_turns_into_digests() -> None:
    args = dict(text.split("=") for name, text in instructions() if name == "ARG")
    assert set(args) == {"BASE", "CUDA_BASE"}
    assert all(
        re.fullmatch(r"[a-z/]+:[\w.-]*ubuntu24\.04|ubuntu:24\.04", each) for each in args.values()
    )
    release = (ROOT / ".github" / "workflows" / "release.yaml").read_text()
    for name in args:
        assert f"{name}=${{{{ steps.bases.outputs.{name} }}}}" in release
