"""A whole training: what it leaves, and how it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from jobs.demo.training.settings import TrainingConfig
from jobs.demo.training.train import checkpoint_of, train
from masc_core import MaSC


def test_it_leaves_a_checkpoint_a_state_and_the_figures_that_it_is_followed_by(
    tmp_path: Path,
) -> None:
    config = TrainingConfig(
        steps=2, pairs=4, scenes=3, width=32, vision_layers=1, text_layers=1, warmup=1
    )
    threads = torch.get_num_threads()
    try:
        training = train(config, tmp_path, save_every=1, n_concepts=2, loaders=0, threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert training.step == 2
    assert training.seconds > 0
    masc = MaSC.from_pretrained(str(checkpoint_of(tmp_path)), device="cpu")
    assert masc.encoder.dim == 32
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 2
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").open()]
    validations = [line for line in lines if "auc.cp" in line]
    assert [line["step"] for line in validations] == [1, 2]
    for line in validations:
        assert 0 <= line["auc.cp"] <= 1
        assert line["auc.cp-global"] == pytest.approx(line["auc.cp"] - line["auc.global"], abs=1e-3)
        assert 0 <= line["top1.background.stripped"] <= 1
