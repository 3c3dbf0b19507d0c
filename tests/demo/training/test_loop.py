"""Training that can be interrupted: its steps, its state, its curve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.demo.training.batches import PairBatches
from jobs.demo.training.loop import Training
from jobs.demo.training.settings import TrainingConfig
from jobs.pipeline.errors import CallError

TINY = {"pairs": 4, "scenes": 3, "width": 32, "vision_layers": 1, "text_layers": 1}


@pytest.mark.slow
def test_a_few_steps_lower_the_losses(tokenizer: Any, tmp_path: Path) -> None:
    config = TrainingConfig(steps=30, warmup=5, **TINY)
    training = Training(config, tmp_path)
    same = PairBatches(0, 1, 4, 2, 3, 0.2, 0.2)[0]
    first = training.take_step(same)
    for _ in range(28):
        last = training.take_step(same)
    for name, loss in vars(last).items():
        assert float(loss.detach()) < float(vars(first)[name].detach()), name


def test_the_learning_rate_rises_evenly_and_falls_by_half_a_cosine(tmp_path: Path) -> None:
    config = TrainingConfig(steps=12, warmup=4, learning_rate=8.0, **TINY)
    training = Training(config, tmp_path)
    rates = []
    for step in range(12):
        training.step = step
        rates.append(training._learning_rate())
    assert rates[:4] == [2.0, 4.0, 6.0, 8.0]
    # Of the eight steps that are left: at the start, a quarter, half and three quarters.
    assert rates[4] == 8.0
    assert rates[6] == pytest.approx(8 * (2 + 2**0.5) / 4)
    assert rates[8] == pytest.approx(4.0)
    assert rates[10] == pytest.approx(8 * (2 - 2**0.5) / 4)


def test_matrices_decay_and_vectors_do_not(tmp_path: Path) -> None:
    training = Training(TrainingConfig(weight_decay=0.3, **TINY), tmp_path)
    for group in training._optimizer.param_groups:
        is_matrix = {parameter.ndim > 1 for parameter in group["params"]}
        assert is_matrix == {group["weight_decay"] == 0.3}


def test_a_term_of_weight_zero_is_left_out(tmp_path: Path) -> None:
    config = TrainingConfig(concept_weight=0, scene_weight=0, **TINY)
    training = Training(config, tmp_path)
    losses = training.take_step(PairBatches(0, 1, 4, 2, 3, 0.2, 0.2)[0])
    assert float(losses.concept) == float(losses.scene) == 0
    assert float(losses.text.detach()) > 0


def test_the_curve_has_losses_and_what_each_validation_found(tmp_path: Path) -> None:
    training = Training(TrainingConfig(steps=3, warmup=1, **TINY), tmp_path)
    seen: list[int] = []

    def validate(model: Any, tokenizer: Any) -> dict[str, float]:
        seen.append(training.step)
        return {"figure": 0.123456}

    training.run(loaders=0, save_every=2, evaluate=validate)
    assert seen == [2, 3]
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").open()]
    found = [line for line in lines if "figure" in line]
    assert found == [{"step": 2, "figure": 0.1235}, {"step": 3, "figure": 0.1235}]
    assert {"step", "text", "concept", "scene", "minutes"} in [set(line) for line in lines]


def test_a_state_is_taken_up_by_the_same_configuration_only(tmp_path: Path) -> None:
    config = TrainingConfig(steps=5, **TINY)
    training = Training(config, tmp_path)
    training.take_step(PairBatches(0, 1, 4, 2, 3, 0.2, 0.2)[0])
    training.save()
    again = Training(config, tmp_path)
    assert again.step == 1
    weights, kept = training.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(weights[name], kept[name]) for name in weights)
    with pytest.raises(CallError, match="another steps, learning_rate"):
        Training(TrainingConfig(steps=6, learning_rate=1.0, **TINY), tmp_path)
