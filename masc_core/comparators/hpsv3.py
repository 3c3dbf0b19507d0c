"""HPSv3: how much people would prefer a generation for its prompt, by Qwen2-VL with a head.

1. The image resized to about 256 · 28² pixels, each side a multiple of 28, by PIL's bicubic filter;
   then the backbone's image processor.
2. A question to Qwen2-VL: the image, an instruction with the prompt in it, and a token of the
   model's own at its end.
3. The last hidden state of that token, through three linear layers: μ and sigma. The score is μ.

Positions count on through image and text alike. Qwen2-VL by itself gives those of an image rows and
columns, but the class that HPSv3 was trained by does not ask for it.

Source: `hpsv3.inference.HPSv3RewardInferencer` of the package hpsv3 1.0.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from masc_core.checkpoint import PROCESSOR, TOKENIZERS, CheckpointError
from masc_core.comparators.hpsv3_question import CALL_TO_RATE, INSTRUCTION, REWARD_TOKEN
from masc_core.comparators.network import activation_bytes
from masc_core.comparators.prompt_scores import LargePromptNetwork, PromptScore, PromptScores
from masc_core.comparators.releases import (
    Release,
    below,
    find_companion,
    read_weights,
)
from masc_core.comparators.settings import ComparatorSettings

if TYPE_CHECKING:
    import torch
    from PIL import Image

WEIGHTS = "HPSv3.safetensors"
BACKBONE = "Qwen/Qwen2-VL-7B-Instruct"
"""Whose configuration, tokenizer, processor and template it takes; none of its weights."""
MODEL_TYPE = "qwen2_vl"

N_PIXELS = 256 * 28 * 28
"""Of a resized image, about: at least and at most."""
HEAD, EMBEDDINGS = "rm_head.", "model.embed_tokens.weight"
"""Names of weights, or what they begin with."""
HEAD_WIDTHS = (1024, 16)
N_OUTPUTS = 2
"""μ and sigma."""
N_WEIGHTS = 8_292_152_882
"""Of the published file: Qwen2-VL 7B for 151,658 tokens, its language head with it, which is not
kept, and the head."""
DROPOUT = 0.05
"""In training; its place among the layers is in the names of their weights."""
N_TEXT_TOKENS = 1024
"""Of the question beside the image, about: the instruction is most of them."""


class HpsV3Network(LargePromptNetwork):
    """Qwen2-VL without its language head, and with HPSv3's."""

    published = "MizzenAI/HPSv3"
    published_n_weights = N_WEIGHTS
    weight_names = (WEIGHTS,)
    overflowing = "Qwen2-VL"
    preprocessing = f"about {N_PIXELS} pixels bicubic, sides of 28s; the backbone's image processor"

    @cached_property
    def backbone(self) -> Release:
        """Where its small files are.

        Raises:
            CheckpointError: it lacks something, or is another model.
        """
        found = find_companion(self.release, BACKBONE)
        for names in (TOKENIZERS, (PROCESSOR,)):
            found.file(*names)
        model_type = found.read_json("config.json").get("model_type")
        if model_type != MODEL_TYPE:
            raise CheckpointError(
                f"{found.name_or_path}: model_type is {model_type!r}, not {MODEL_TYPE}"
            )
        return found

    @cached_property
    def weights(self) -> str:
        """Of the one file; told once, as gigabytes are read for it."""
        return self.release.identity([WEIGHTS])

    def fingerprint(self) -> dict[str, Any]:
        """Its backbone counts as well: the tokenizer and the processor are that one's."""
        return {**super().fingerprint(), "backbone": self.backbone.identity()}

    def _load(self) -> None:
        from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor

        from masc_core.loading import load_state

        folder = str(self.backbone.folder)
        self._processor = Qwen2VLProcessor.from_pretrained(folder, trust_remote_code=False)
        self._tokenizer = self._processor.tokenizer
        self._tokenizer.add_tokens([REWARD_TOKEN], special_tokens=True)
        self._reward_id = self._tokenizer.convert_tokens_to_ids(REWARD_TOKEN)
        self._reserved = sorted(self._tokenizer.get_added_vocab())
        self._check_template()
        state = read_weights(self.release.weight_files([WEIGHTS]), self.name_or_path)
        config = Qwen2VLConfig.from_pretrained(folder)
        text = config.get_text_config()
        text.vocab_size = self._vocabulary_of(state)
        body = {name: own for name, own in state.items() if not name.startswith(HEAD)}
        model = load_state(
            *(Qwen2VLForConditionalGeneration, config, body),
            where=self.name_or_path,
            configured=f"backbone's config.json ({self.backbone.name_or_path})",
            is_all=True,
            dtype=self.dtype,
        )
        self._model = model.model.to(self.device)
        self._head = self._load_head(below(state, HEAD), text.hidden_size)

    def _check_template(self) -> None:
        """See that the model is shown the image and the question, each once.

        Raises:
            OSError: it is not.
        """
        merged = self._processor.image_processor.merge_size**2
        question = self._question("", merged)
        for mark in (self._processor.image_token, REWARD_TOKEN):
            if question.count(mark) != 1:
                raise OSError(
                    f"{self.backbone.name_or_path}: its chat template shows {mark} "
                    f"{question.count(mark)} times, and not once"
                )

    def _vocabulary_of(self, state: dict[str, torch.Tensor]) -> int:
        """Tokens that the weights know; the tokenizer's, with the one that the model adds.

        Raises:
            OSError: the tokenizer is another's.
        """
        n_known = len(state[EMBEDDINGS]) if EMBEDDINGS in state else 0
        if n_known != len(self._tokenizer):
            raise OSError(
                f"{self.name_or_path}: {n_known} embeddings of tokens, but the tokenizer of "
                f"{self.backbone.name_or_path} has {len(self._tokenizer)} with {REWARD_TOKEN}"
            )
        return n_known

    def _load_head(self, state: dict[str, torch.Tensor], width: int) -> torch.nn.Module:
        """Three linear layers, in float32 whatever the backbone's precision."""
        from torch import nn

        first, second = HEAD_WIDTHS
        head = nn.Sequential(
            *(nn.Linear(width, first), nn.ReLU(), nn.Dropout(DROPOUT)),
            *(nn.Linear(first, second), nn.ReLU()),
            nn.Linear(second, N_OUTPUTS),
        )
        try:
            head.load_state_dict(state)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise OSError(f"{self.name_or_path}: its {HEAD}*: {reason}") from error
        return head.eval().requires_grad_(False).to(self.device)

    @property
    def bytes_an_image(self) -> int:
        """Of the language model, which runs when the vision tower has: image and question."""
        text = self._model.config.text_config
        # Two inner layers of the MLP: one is the other's gate.
        return activation_bytes(
            N_PIXELS // 28**2 + N_TEXT_TOKENS,
            text.hidden_size,
            2 * text.intermediate_size,
            self.dtype,
        )

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """Patches (Hp, Wp, P) for a grid of Hp x Wp: in the processor's order, which is by blocks.

        Raises:
            ValueError: one side is more than 200 times the other.
        """
        from PIL.Image import Resampling
        from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

        height, width = smart_resize(
            image.height, image.width, min_pixels=N_PIXELS, max_pixels=N_PIXELS
        )
        resized = image.resize((width, height), Resampling.BICUBIC)
        found = self._processor.image_processor(
            images=[resized], do_resize=False, return_tensors="pt"
        )
        _, rows, columns = found["image_grid_thw"][0].tolist()
        return found["pixel_values"].reshape(rows, columns, -1)

    def judge(self, pixels: torch.Tensor, prompts: Sequence[str]) -> list[PromptScore]:
        """μ of images (B, Hp, Wp, P) and their prompts."""
        import torch

        rows, columns = pixels.shape[1:3]
        tokens = self._tokenizer(
            [self._question(prompt, rows * columns) for prompt in prompts],
            padding=True,
            padding_side="right",
            return_tensors="pt",
        ).to(self.device)
        positions = torch.arange(tokens.input_ids.shape[1], device=self.device)
        grid = torch.tensor([[1, rows, columns]] * len(prompts), device=self.device)
        with torch.inference_mode():
            hidden = self._model(
                input_ids=tokens.input_ids,
                attention_mask=tokens.attention_mask,
                position_ids=positions.expand(3, len(prompts), -1),
                pixel_values=pixels.flatten(0, 2),
                image_grid_thw=grid,
                use_cache=False,
            ).last_hidden_state
            asked = hidden[tokens.input_ids == self._reward_id]  # (B, D), as each has one
            means = self._head(asked.float())[:, 0].tolist()
        lengths = tokens.attention_mask.sum(-1).tolist()
        return [PromptScore(mean, n, n) for mean, n in zip(means, lengths, strict=True)]

    def _question(self, prompt: str, n_patches: int) -> str:
        """All that the model reads, the image as so many tokens as its patches are merged to."""
        content: Any = [
            {"type": "image"},
            {"type": "text", "text": INSTRUCTION.format(text_prompt=prompt) + CALL_TO_RATE},
        ]
        text = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        mark = self._processor.image_token
        n_tokens = n_patches // self._processor.image_processor.merge_size**2
        return text.replace(mark, mark * n_tokens)


def hpsv3(names: Sequence[str], settings: ComparatorSettings) -> PromptScores:
    """The metric `hpsv3`."""
    return PromptScores(names, settings, HpsV3Network(names[0], settings))
