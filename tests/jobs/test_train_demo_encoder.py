"""`jobs.train_demo_encoder`: a training that can be stopped, asked for in one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from jobs import train_demo_encoder

TINY = (
    "training.pairs=4", "training.scenes=3", "training.width=32", "training.vision_layers=1",
    "training.text_layers=1", "training.warmup=2", "concepts=2", "loaders=0", "threads=1",
)  # fmt: skip


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["train_demo_encoder", *words])
    return train_demo_encoder.main()


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "state.pt", weights_only=True)["model"]


@pytest.mark.slow
def test_a_training_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = (*TINY, "training.steps=4", "save_every=2")
    assert call(monkeypatch, f"out={whole}", *words) == 0
    assert capsys.readouterr().out == f"{whole}/checkpoint\n"

    from jobs.demo.training.loop import Training

    save = Training.save

    def save_and_stop(self: Training) -> None:
        save(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(Training, "save", save_and_stop)
        assert call(monkeypatch, f"out={parts}", *words) == 3
    assert torch.load(parts / "state.pt", weights_only=True)["step"] == 2
    assert call(monkeypatch, f"out={parts}", *words) == 0
    a, b = weights_of(whole), weights_of(parts)
    assert all(torch.allclose(a[name], b[name], atol=1e-6) for name in a)
    steps = [json.loads(line)["step"] for line in (whole / "curve.jsonl").open()]
    assert steps == [2, 4, 4]


def test_a_training_of_another_configuration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (f"out={tmp_path}", *TINY, "training.steps=1", "save_every=1")
    assert call(monkeypatch, *words) == 0
    assert call(monkeypatch, *words, "training.seed=1") == 1
    assert "another seed" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["training.pairs=1", "training.scenes=99", "save_every=0"])
def test_a_setting_out_of_range_is_a_wrong_call(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(monkeypatch, f"out={tmp_path / 'out'}", word) == 1
    assert not (tmp_path / "out").exists()


def test_a_training_may_begin_where_another_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*TINY, "training.steps=2", "save_every=2")
    first, second = tmp_path / "first", tmp_path / "second"
    assert call(monkeypatch, f"out={first}", *words) == 0
    more = (f"training.start_from={first}/checkpoint", "training.learning_rate=0")
    assert call(monkeypatch, f"out={second}", *words, *more) == 0
    a, b = weights_of(first), weights_of(second)
    assert all(torch.allclose(a[name].half().float(), b[name]) for name in a)


def test_json_says_where_the_checkpoint_is_and_how_long_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (f"out={tmp_path}", *TINY, "training.steps=1", "--json")
    assert call(monkeypatch, *words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"checkpoint": str(tmp_path / "checkpoint"), "minutes": pytest.approx(0, abs=2)}


def test_a_directory_that_cannot_be_made_is_a_wrong_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert call(monkeypatch, f"out={tmp_path / 'file' / 'out'}", *TINY, "training.steps=1") == 1
    assert "out=" in capsys.readouterr().err
