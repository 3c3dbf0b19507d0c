"""`jobs.render_demo`: what it says, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from jobs import render_demo


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["render_demo", *words])
    return render_demo.main()


def test_stdout_says_where_the_manifest_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("concepts=1", "prompts=1", "size=64")
    manifest = str(tmp_path / "manifest.csv")
    assert call(monkeypatch, f"out={tmp_path}", *few) == 0
    assert capsys.readouterr().out == f"{manifest}\n"
    assert call(monkeypatch, f"out={tmp_path}", *few, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"manifest": manifest, "generations": 6, "references": 2}


@pytest.mark.parametrize("word", ["concepts=0", "concepts=1000", "prompts=0", "size=8", "seed=-1"])
def test_a_number_out_of_range_is_a_wrong_call(
    word: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, f"out={tmp_path / 'demo'}", word) == 1
    assert word in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_a_call_without_numbers_shows_two_dozen_concepts_by_two_prompts_each() -> None:
    config = render_demo.RenderDemoConfig(out="anywhere")
    assert (config.seed, config.concepts, config.prompts, config.size) == (0, 24, 2, 192)


def test_every_setting_reaches_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("concepts=2", "prompts=3", "size=80", "seed=5", "--json")
    assert call(monkeypatch, f"out={tmp_path}", *words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["generations"], told["references"]) == (2 * 3 * 6, 2 * 2)
    images = list(tmp_path.rglob("*.jpg"))
    assert len(images) == 40
    assert {min(Image.open(image).size) for image in images} == {80}
    generations = [image.stem for image in images if "generations" in image.parts]
    assert all(stem.endswith("_5") for stem in generations)


def test_a_directory_that_cannot_be_made_is_a_wrong_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert call(monkeypatch, f"out={tmp_path / 'file' / 'demo'}", "concepts=1") == 1
    assert "Not a directory" in capsys.readouterr().err
