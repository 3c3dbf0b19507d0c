"""Checkpoints that bring Python code of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from masc_core import MaSC
from masc_core.checkpoint import CONFIGURATIONS, CheckpointError, find_checkpoint
from tests.commands import here
from tests.shards import generation, reference, write_tar

CODE = """
from pathlib import Path
from transformers import Siglip2Model

Path({marker!r}).touch()

class OwnModel(Siglip2Model):
    pass
"""
AUTO_MAP = {"AutoModel": "own_code.OwnModel"}


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What the checkpoint's code makes if it is run."""
    return tmp_path / "marker"


@pytest.fixture
def checkpoint(naflex_checkpoint: Path, tmp_path: Path, marker: Path) -> Path:
    """A checkpoint with code, which no file of it asks for yet."""
    path = tmp_path / "tiny-naflex"
    shutil.copytree(naflex_checkpoint, path)
    (path / "own_code.py").write_text(CODE.format(marker=str(marker)))
    return path


def ask_for_code(file: Path, inside: str | None = None) -> None:
    document = json.loads(file.read_text()) if file.exists() else {}
    asking = document.setdefault(inside, {}) if inside else document
    asking["auto_map"] = AUTO_MAP
    file.write_text(json.dumps(document))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_checkpoint_that_asks_for_its_own_code_is_refused(
    checkpoint: Path, marker: Path, name: str
) -> None:
    find_checkpoint(str(checkpoint))
    ask_for_code(checkpoint / name)
    refusal = rf"{name} asks for Python code .*trust_remote_code=true"
    with pytest.raises(CheckpointError, match=refusal):
        find_checkpoint(str(checkpoint))
    assert not marker.exists()


def test_code_asked_for_further_inside_is_refused_too(checkpoint: Path) -> None:
    ask_for_code(checkpoint / "processor_config.json", inside="image_processor")
    with pytest.raises(CheckpointError, match="asks for Python code"):
        find_checkpoint(str(checkpoint))


@pytest.mark.slow
def test_the_refusal_is_one_line_of_the_command_and_nothing_was_run(
    checkpoint: Path, marker: Path, tmp_path: Path
) -> None:
    ask_for_code(checkpoint / "config.json")
    run = here(
        "evaluate",
        f"samples={write_tar(tmp_path / 'g.tar', generation('a', 1))}",
        f"references={write_tar(tmp_path / 'r.tar', reference('cat/0', 1))}",
        f"run={tmp_path}/run",
        f"encoder.name_or_path={checkpoint}",
    )
    assert run.returncode == 1
    [line] = run.stderr.splitlines()
    assert line.startswith(f"jobs.evaluate: encoder.name_or_path={checkpoint}: config.json asks")
    assert not marker.exists()


def test_without_the_setting_the_code_is_not_run_even_where_nobody_looked_before(
    checkpoint: Path, marker: Path
) -> None:
    ask_for_code(checkpoint / "config.json")
    assert MaSC.from_pretrained(str(checkpoint)).encoder.is_naflex
    assert not marker.exists()


@pytest.mark.slow
def test_with_the_setting_it_is_run(checkpoint: Path, marker: Path, tmp_path: Path) -> None:
    ask_for_code(checkpoint / "config.json")
    before = find_checkpoint(str(checkpoint), trust_remote_code=True)
    code = "import sys; from masc_core import MaSC; MaSC.from_pretrained({!r}, **{!r})"
    subprocess.run(
        [sys.executable, "-c", code.format(str(checkpoint), {"trust_remote_code": True})],
        env={**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules")},
        check=True,
    )
    assert marker.exists()
    # What is run decides on scores, so it is part of what tells one encoder from another.
    with (checkpoint / "own_code.py").open("a") as file:
        file.write("# changed\n")
    assert find_checkpoint(str(checkpoint), trust_remote_code=True).weights != before.weights


def test_a_checkpoint_on_the_hub_is_refused_by_whichever_file_asks(
    checkpoint: Path, tmp_path: Path
) -> None:
    """The hub as its cache on this machine."""
    commit = "c" * 40
    cached = tmp_path / "hub" / "models--owner--name"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    shutil.copytree(checkpoint, cached / "snapshots" / commit)
    code = "from masc_core.checkpoint import find_checkpoint\nprint(find_checkpoint('owner/name'))"

    def find() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    assert f"commit:{commit}" in find().stdout
    ask_for_code(cached / "snapshots" / commit / "tokenizer_config.json")
    refused = find()
    assert refused.returncode == 1
    assert "owner/name: tokenizer_config.json asks for Python code" in refused.stderr
