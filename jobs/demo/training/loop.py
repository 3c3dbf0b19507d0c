"""From the first step to a trained model, in as many calls as it takes.

The state (weights, optimiser, step) is written every `save_every` steps, in one step each time; the
same call goes on from there. The learning rate and the batches follow from the step's number.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jobs.demo.training import objective
from jobs.demo.training.batches import PairBatch, PairBatches
from jobs.demo.training.model import load_weights, new_model, world_tokenizer
from jobs.demo.training.settings import TrainingConfig
from jobs.demo.world.prompts import TEMPLATES, prompt
from jobs.demo.world.scenes import SCENES
from jobs.pipeline.errors import CallError
from masc_core.defaults import FG_THRESHOLD
from masc_core.similarity import unit

log = logging.getLogger(__name__)

LOG_EVERY = 25
MAX_GRADIENT = 1.0


@dataclass(frozen=True)
class Losses:
    """One step's, each before its weight."""

    text: torch.Tensor
    concept: torch.Tensor
    scene: torch.Tensor


class Training:
    """A model on its way, and where it stands."""

    def __init__(self, config: TrainingConfig, folder: Path) -> None:
        """Begin anew, or where `folder` says that an earlier call stopped.

        Raises:
            CallError: `folder` holds a training of another configuration.
            OSError: no checkpoint where the configuration says to begin.
        """
        self.config = config
        self._state, self._curve = folder / "state.pt", folder / "curve.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer = world_tokenizer()
        self.model = new_model(
            self.tokenizer,
            seed=config.seed,
            width=config.width,
            heads=config.heads,
            vision_layers=config.vision_layers,
            text_layers=config.text_layers,
        )
        self.model.logit_scale.data.fill_(math.log(1 / objective.SCENE_TEMPERATURE))
        if config.start_from:
            self.model.load_state_dict(load_weights(config.start_from))
        self.step = 0
        self.seconds = 0.0
        """Spent on training so far, in all calls."""
        matrices = [each for each in self.model.parameters() if each.ndim > 1]
        others = [each for each in self.model.parameters() if each.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
        if self._state.exists():
            self._resume()

    def run(self, loaders: int, save_every: int, evaluate: Callable[[Any, Any], dict]) -> None:
        """Train to the last step.

        Args:
            loaders: processes that render; 0 renders in this one.
            save_every: steps between states, and between evaluations.
            evaluate: called with model and tokenizer; its figures go into the curve.
        """
        last = time.monotonic()
        for batch in self._batches(loaders):
            losses = self.take_step(batch)
            now = time.monotonic()
            self.seconds, last = self.seconds + now - last, now
            if self.step % LOG_EVERY == 0 or self.step == self.config.steps:
                self._log_losses(losses)
            if self.step % save_every == 0 or self.step == self.config.steps:
                figures = evaluate(self.model, self.tokenizer)
                self._append_to_curve({"step": self.step, **figures})
                log.info("step %d: %s", self.step, _formatted(figures))
                self.save()

    def take_step(self, batch: PairBatch) -> Losses:
        """One batch: losses, gradients, new weights."""
        config = self.config
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate()
        losses = self._losses(batch)
        total = (
            losses.text
            + config.concept_weight * losses.concept
            + config.scene_weight * losses.scene
        )
        self._optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT)
        self._optimizer.step()
        self.step += 1
        return losses

    def save(self) -> None:
        """Write the state; what is there is whole at any time."""
        unfinished = self._state.with_suffix(".new")
        state = {
            "config": asdict(self.config),
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        torch.save(state, unfinished)
        unfinished.replace(self._state)

    def _resume(self) -> None:
        state = torch.load(self._state, weights_only=True)
        ours = asdict(self.config)
        differing = [name for name in ours if state["config"].get(name) != ours[name]]
        if differing:
            raise CallError(
                f"{self._state.parent}: holds a training with another {', '.join(differing)}"
            )
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        log.info("going on from step %d", self.step)

    def _batches(self, loaders: int) -> Iterator[PairBatch]:
        config = self.config
        batches = PairBatches(
            seed=config.seed,
            steps=config.steps,
            pairs=config.pairs,
            individuals=config.individuals,
            scenes=config.scenes,
            drop_subject=config.drop_subject,
            drop_scene=config.drop_scene,
        )
        return iter(
            torch.utils.data.DataLoader(
                batches,
                batch_size=None,
                sampler=range(self.step, config.steps),
                num_workers=loaders,
            )
        )

    def _learning_rate(self) -> float:
        """Linear rise, then half a cosine."""
        config = self.config
        if self.step < config.warmup:
            return config.learning_rate * (self.step + 1) / config.warmup
        done = (self.step - config.warmup) / max(1, config.steps - config.warmup)
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def _losses(self, batch: PairBatch) -> Losses:
        config, zero = self.config, torch.zeros(())
        tokens = objective.patch_tokens(self.model, batch.patches, batch.grid)
        whole = objective.pooled(self.model, tokens)
        rng = np.random.default_rng([config.seed, self.step, 1])
        scene_words = [
            prompt(None, scene, TEMPLATES[rng.integers(len(TEMPLATES))]) for scene in SCENES
        ]
        captions, position = np.unique(batch.captions, return_inverse=True)
        texts = self._embed([*captions.tolist(), *scene_words])
        caption_texts, scene_texts = texts[torch.from_numpy(position)], texts[len(captions) :]
        scale = self.model.logit_scale.exp().clamp(max=100)
        concept = scene = zero
        if config.concept_weight:
            concept = objective.concept_contrast(tokens, batch.weights)
        if config.scene_weight:
            background = objective.pooled(self.model, tokens, batch.weights >= FG_THRESHOLD)
            scene = objective.scene_contrast(background, scene_texts, batch.scenes)
        return Losses(
            objective.image_text_contrast(scale * whole @ caption_texts.T, batch), concept, scene
        )

    def _embed(self, texts: list[str]) -> torch.Tensor:
        """Unit embeddings (n, D), texts padded as the encoder of the metric pads them."""
        ids = self.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")[
            "input_ids"
        ]
        return unit(self.model.text_model(input_ids=ids).pooler_output)

    def _log_losses(self, losses: Losses) -> None:
        values = {name: float(loss.detach()) for name, loss in vars(losses).items()}
        rate = 2 * self.config.pairs * self.step / self.seconds
        minutes = self.seconds / 60
        log.info(
            "step %d of %d: %s; %.0f photos/s, %.1f minutes",
            self.step,
            self.config.steps,
            _formatted(values),
            rate,
            minutes,
        )
        self._append_to_curve({"step": self.step, **values, "minutes": round(minutes, 2)})

    def _append_to_curve(self, values: dict[str, float]) -> None:
        with self._curve.open("a") as curve:
            curve.write(json.dumps({name: round(v, 4) for name, v in values.items()}) + "\n")


def _formatted(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items())
