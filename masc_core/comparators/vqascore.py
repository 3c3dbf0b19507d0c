"""VQAScore: how sure CLIP-FlanT5 is that a generation shows its prompt.

1. The image on a square of the processor's mean colour, resized by PIL's bicubic filter; then the
   processor of CLIP.
2. CLIP's patch tokens before its last layer, through two linear layers, are tokens to FlanT5.
3. FlanT5 reads a preamble, the image, and the question whether this figure shows the prompt.
4. How likely is each token of the answer, "Yes" and the mark that ends it? The score is the
   geometric mean.

The marks that the tokenizer ends a text with stand after the preamble and after the question.

Source: `t2v_metrics/models/vqascore_models/clip_t5_model.py` of the package t2v-metrics 3.0, and
what it calls. It rounds weights to bfloat16, and computes under autocast to it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from masc_core.checkpoint import PROCESSOR, CheckpointError
from masc_core.comparators.network import activation_bytes, mixed_precision
from masc_core.comparators.prompt_scores import LargePromptNetwork, PromptScore, PromptScores
from masc_core.comparators.releases import (
    WEIGHTS,
    Release,
    below,
    find_companion,
    read_weights,
)
from masc_core.comparators.settings import ComparatorSettings

if TYPE_CHECKING:
    import torch
    from PIL import Image

TOKENIZER = "google/flan-t5-xxl"
TOKENIZERS = ("tokenizer.json", "spiece.model")
TOWER = "mm_vision_tower"
"""The entry of the configuration that names CLIP."""
LAYER = "mm_vision_select_layer"
"""The entry that says which of CLIP's hidden states is taken, counted from the end."""
PATCH_TOKENS = "patch"
"""What is taken of a layer of CLIP: all but CLS."""

PREAMBLE = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. USER: "
)
QUESTION = '\nDoes this figure show "{}"? Please answer yes or no. ASSISTANT: '
ANSWER = "Yes"
IMAGE_MARK = "<image>"
"""What the authors' code splits a text at."""
MAX_TOKENS = 2048
"""Of preamble, image as one, and question; what is beyond is cut."""
N_TEXT_TOKENS = 256
"""Of preamble and question, about."""

TOWER_WEIGHTS, TOWER_ALONE = "vision_tower.vision_tower.vision_model.", "vision_model."
"""What names of CLIP's weights begin with, here and in a checkpoint of its own."""
POSITION_IDS = "embeddings.position_ids"
"""Of CLIP, as older releases of transformers kept it: no weight."""
N_WEIGHTS = 11_459_590_144
"""Of the published model: FlanT5 XXL for 32,100 tokens, CLIP ViT-L/14 of 336 pixels, two layers of
4,096."""
PROJECTOR = "mm_projector."
HEAD = "lm_head.weight"
EMBEDDINGS = (
    "shared.weight",
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
    "embed_tokens.weight",
)
"""The same weights under several names; a file may have kept one of them."""


class ClipFlanT5Network(LargePromptNetwork):
    """CLIP, a projector and FlanT5."""

    published = "zhiqiulin/clip-flant5-xxl"
    published_n_weights = N_WEIGHTS
    overflowing = "T5"
    preprocessing = "a square of the mean colour around it, PIL's bicubic; CLIP's image processor"

    @cached_property
    def config(self) -> dict[str, Any]:
        """Of all of it.

        Raises:
            CheckpointError: it is another model, or of a form that nothing published has.
        """
        found = self.release.read_json("config.json")
        where = f"{self.release.name_or_path}: config.json"
        if not isinstance(found.get(TOWER), str):
            raise CheckpointError(f"{where} names no {TOWER}; is it a CLIP-FlanT5?")
        projector = found.get("mm_projector_type")
        if not re.fullmatch(r"mlp\d+x_gelu", str(projector)):
            raise CheckpointError(f"{where}: mm_projector_type is {projector!r}, not mlp2x_gelu")
        if not isinstance(found.get(LAYER), int):
            raise CheckpointError(f"{where}: {LAYER} is no number")
        if found.get("mm_vision_select_feature", PATCH_TOKENS) != PATCH_TOKENS:
            raise CheckpointError(f"{where}: mm_vision_select_feature is not {PATCH_TOKENS!r}")
        return found

    @cached_property
    def tower(self) -> Release:
        """CLIP: its configuration and processor, and its weights where the release has none."""
        found = find_companion(self.release, self.config[TOWER])
        for name in ("config.json", PROCESSOR):
            found.file(name)
        return found

    @cached_property
    def tokenizer(self) -> Release:
        """FlanT5's."""
        found = find_companion(self.release, TOKENIZER)
        found.file(*TOKENIZERS)
        return found

    @cached_property
    def weights(self) -> str:
        """Of the release; told once, as gigabytes are read for it."""
        _ = self.config  # before gigabytes are read
        return self.release.identity(WEIGHTS)

    def fingerprint(self) -> dict[str, Any]:
        """CLIP and the tokenizer count as well."""
        found = super().fingerprint()
        return {**found, "tower": self._tower_weights, "tokenizer": self.tokenizer.identity()}

    @cached_property
    def _tower_weights(self) -> str:
        """CLIP's weights count where they are, as the release may have none of them."""
        weights = [name for name in WEIGHTS if (self.tower.folder / name).is_file()]
        return self.tower.identity(weights)

    def _load(self) -> None:
        from transformers import AutoTokenizer, CLIPImageProcessor

        self._image_processor = CLIPImageProcessor.from_pretrained(str(self.tower.folder))
        if not self._image_processor.size.get("shortest_edge"):
            raise OSError(f"{self.tower.name_or_path}: {PROCESSOR} says no shortest_edge of images")
        self._tokenizer = AutoTokenizer.from_pretrained(
            str(self.tokenizer.folder), trust_remote_code=False
        )
        self._reserved = [IMAGE_MARK, *sorted(self._tokenizer.get_added_vocab())]
        state = read_weights(self.release.weight_files(), self.name_or_path)
        self._vision = self._load_tower(below(state, TOWER_WEIGHTS)).to(self.device)
        self._projector = self._load_projector(below(state, PROJECTOR)).to(self.device)
        # Some releases of transformers keep a part of it in float32.
        self._t5 = self._load_t5(state).to(self.device, self.dtype)
        ids = self._tokenizer([PREAMBLE, ANSWER]).input_ids
        self._preamble, self._answer = (self._as_tensor(own) for own in ids)

    def _load_tower(self, state: dict[str, torch.Tensor]) -> Any:
        from transformers import CLIPVisionConfig, CLIPVisionModel

        from masc_core.loading import load_state

        where = self.name_or_path
        if not state:
            where = self.tower.name_or_path
            state = below(read_weights(self.tower.weight_files(), where), TOWER_ALONE)
        config = CLIPVisionConfig.from_pretrained(str(self.tower.folder))
        named = {f"{TOWER_ALONE}{name}": own for name, own in state.items() if name != POSITION_IDS}
        configured = f"config.json of {self.tower.name_or_path}"
        return load_state(
            *(CLIPVisionModel, config, named),
            where=where,
            configured=configured,
            is_all=True,
            dtype=self.dtype,
        )

    def _load_projector(self, state: dict[str, torch.Tensor]) -> torch.nn.Module:
        """Linear layers with GELU between them; their widths are their weights'."""
        from torch import nn

        n_layers = int(re.findall(r"\d+", self.config["mm_projector_type"])[0])
        names = {f"{2 * i}.{kind}" for i in range(n_layers) for kind in ("weight", "bias")}
        if names != state.keys():
            raise OSError(f"{self.name_or_path}: expected {PROJECTOR} {', '.join(sorted(names))}")
        layers: list[nn.Module] = []
        for i in range(n_layers):
            n_out, n_in = state[f"{2 * i}.weight"].shape
            layers += [nn.Linear(n_in, n_out, device="meta"), nn.GELU()]
        projector = nn.Sequential(*layers[:-1])
        projector.load_state_dict(state, assign=True)
        return projector.to(self.dtype).eval().requires_grad_(False)

    def _load_t5(self, state: dict[str, torch.Tensor]) -> Any:
        """FlanT5, for as many tokens as its tokenizer has: rows for others do not count."""
        from transformers import T5Config, T5ForConditionalGeneration

        from masc_core.loading import load_state

        not_t5 = (TOWER_WEIGHTS, PROJECTOR, *EMBEDDINGS, HEAD)
        own = {name: each for name, each in state.items() if not name.startswith(not_t5)}
        rows = self._rows_of(state, *EMBEDDINGS)
        own |= dict.fromkeys(EMBEDDINGS[:3], rows)
        is_tied = self.config.get("tie_word_embeddings", True)
        own[HEAD] = rows if is_tied else self._rows_of(state, HEAD)
        settings = {name: each for name, each in self.config.items() if name != "model_type"}
        config = T5Config(**settings)
        config.vocab_size = len(self._tokenizer)
        # It ties the head as well, or warns that it does not.
        config.tie_word_embeddings = False
        model = load_state(
            *(T5ForConditionalGeneration, config, own),
            where=self.name_or_path,
            configured="config.json",
            is_all=True,
            dtype=self.dtype,
        )
        model.set_input_embeddings(model.shared)
        return model

    def _rows_of(self, state: dict[str, torch.Tensor], *names: str) -> torch.Tensor:
        """Of the first of these weights that is there, what is for the tokenizer's tokens.

        Raises:
            OSError: none is there, or it is of fewer.
        """
        name = next((each for each in names if each in state), names[0])
        n_rows = len(state[name]) if name in state else 0
        if n_rows < len(self._tokenizer):
            raise OSError(
                f"{self.name_or_path}: {n_rows} rows of {name}, but the tokenizer of "
                f"{self.tokenizer.name_or_path} has {len(self._tokenizer)} tokens"
            )
        return state[name][: len(self._tokenizer)]

    @property
    def bytes_an_image(self) -> int:
        """Of a layer of FlanT5's encoder: image and question; its attention is written out, with a
        bias of its own beside it."""
        tower, text = self._vision.config, self._t5.config
        n_tokens = (tower.image_size // tower.patch_size) ** 2 + N_TEXT_TOKENS
        attention = 4 * text.num_heads * n_tokens**2 * 4
        # Two inner layers of the MLP: one is the other's gate.
        return attention + activation_bytes(n_tokens, text.d_model, 2 * text.d_ff, self.dtype)

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """All of it, on a square."""
        from PIL.Image import Resampling

        processor = self._image_processor
        side = processor.size["shortest_edge"]
        square = on_square(image, [int(255 * own) for own in processor.image_mean])
        # Here, as the processor of today would resize by another filter than the authors' did.
        resized = square.resize((side, side), Resampling(processor.resample))
        found = processor(images=[resized], do_resize=False, return_tensors="pt")
        return found["pixel_values"][0]

    def judge(self, pixels: torch.Tensor, prompts: Sequence[str]) -> list[PromptScore]:
        """The probability of the answer for images (B, 3, H, W) and their prompts."""
        import torch
        from torch.nn.functional import cross_entropy
        from torch.nn.utils.rnn import pad_sequence

        asked = self._tokenizer([QUESTION.format(prompt) for prompt in prompts]).input_ids
        room = MAX_TOKENS - len(self._preamble) - 1
        questions = pad_sequence(
            [self._as_tensor(own[:room]) for own in asked],
            batch_first=True,
            padding_value=self._t5.config.pad_token_id,
        )
        answers = self._answer.repeat(len(prompts), 1)
        with torch.inference_mode(), mixed_precision(self.device, self.dtype_name):
            read, mask = self._reading(self._seen(pixels), questions)
            logits = self._t5(inputs_embeds=read, attention_mask=mask, labels=answers).logits
            loss = cross_entropy(logits.float().transpose(1, 2), answers, reduction="none")
        likely = loss.mean(-1).neg().exp().tolist()
        beside = len(self._preamble) + 1
        return [
            PromptScore(value, beside + len(own), beside + min(len(own), room))
            for value, own in zip(likely, asked, strict=True)
        ]

    def _seen(self, pixels: torch.Tensor) -> torch.Tensor:
        """Images as tokens of FlanT5: (B, N, D)."""
        states = self._vision(pixels, output_hidden_states=True).hidden_states
        return self._projector(states[self.config[LAYER]][:, 1:])

    def _reading(
        self, images: torch.Tensor, questions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All that FlanT5 reads (B, L, D), and which of it counts (B, L)."""
        import torch

        embedded = self._t5.get_input_embeddings()
        preamble = embedded(self._preamble).expand(len(questions), -1, -1)
        read = torch.cat([preamble, images.to(preamble.dtype), embedded(questions)], dim=1)
        counts = questions != self._t5.config.pad_token_id
        beside = counts.new_ones(len(questions), read.shape[1] - questions.shape[1])
        return read, torch.cat([beside, counts], dim=1)

    def _as_tensor(self, ids: Sequence[int]) -> torch.Tensor:
        import torch

        return torch.tensor(ids, device=self.device)


def on_square(image: Image.Image, colour: Sequence[int]) -> Image.Image:
    """An RGB image in the middle of a square of its longer side; up and left by half a pixel where
    the middle lies between two."""
    from PIL import Image

    side = max(image.size)
    square = Image.new("RGB", (side, side), tuple(colour))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def vqascore(names: Sequence[str], settings: ComparatorSettings) -> PromptScores:
    """The metric `vqascore`."""
    return PromptScores(names, settings, ClipFlanT5Network(names[0], settings))
