"""ImageReward: how much people would like an image for a prompt (arXiv 2304.05977).

1. The shorter side resized to 224 by PIL's bicubic filter, the square in the middle, CLIP's mean
   and std; BLIP's image encoder, a ViT-L/16.
2. The whole prompt by BERT's uncased vocabulary and two tokens that BLIP adds to it, cut to 35;
   BLIP's text encoder reads it, with its cross attention on the image.
3. Five linear layers make a reward of the last hidden state of the first token; less the authors'
   mean, over their standard deviation.

A reward is no share of anything: it may be negative, and of images like those that it was trained
on it has mean 0 and standard deviation 1.

The weights are the authors' own file, by whose names they go into the BLIP of transformers. Their
package (`image-reward`) asks for versions of timm and transformers that do not run beside ours;
`make comparators` holds the two against each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from masc_core.checkpoint import CheckpointError, directory_of
from masc_core.comparators.clip import PreparedGeneration, notes_of_cut
from masc_core.comparators.network import ImageNetwork, activation_bytes
from masc_core.comparators.network_scores import NetworkScores
from masc_core.comparators.settings import ComparatorSettings
from masc_core.comparators.transforms import CLIP_MEAN, CLIP_STD, centre_crop
from masc_core.protocol import NOTES, Batch, EncodedReference, Features, Kind
from masc_core.released_files import ReleasedFiles, find_released_files

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

CONFIG, WEIGHTS, VOCABULARY = "med_config.json", "ImageReward.pt", "vocab.txt"

BERT = "google-bert/bert-base-uncased"
"""Where the vocabulary is, as the authors' files come without one."""

ADDED_TOKENS = ("[DEC]", "[ENC]")
"""By which BLIP adds to that, after its last."""

SIDE = 224
"""Pixels that the image encoder sees."""

TEXT_LENGTH = 35
"""Tokens of a prompt, those that open and close it with them."""

REWARD_MEAN, REWARD_STD = 0.16717362830052426, 1.0333394966054072
"""Of the authors' rewards before they are normalised (image-reward 1.5, ImageReward.py)."""


class ImageRewardNetwork(ImageNetwork):
    """BLIP and a head. `name_or_path` is a directory with `CONFIG` and `WEIGHTS`, or a hub id; the
    vocabulary is `BERT`'s, unless the directory has a `VOCABULARY` of its own."""

    published = "zai-org/ImageReward"
    preprocessing = (
        f"shorter side {SIDE} bicubic, centre {SIDE}, CLIP's mean and std; {TEXT_LENGTH} tokens"
    )

    def __init__(self, name: str, settings: ComparatorSettings) -> None:
        """See `ImageNetwork`."""
        super().__init__(name, settings)
        self._revision = settings.revision

    @cached_property
    def files(self) -> ReleasedFiles:
        """Looked up once, so that a worker loads what was found where the run was described.

        Raises:
            CheckpointError: they cannot be used.
        """
        return find_released_files(self.name_or_path, self._revision, (CONFIG, WEIGHTS))

    @cached_property
    def vocabulary(self) -> ReleasedFiles:
        """Likewise.

        Raises:
            CheckpointError: it is neither beside the weights nor to be had from the hub.
        """
        directory = directory_of(self.name_or_path)
        has_own = directory is not None and (directory / VOCABULARY).is_file()
        return find_released_files(str(directory) if has_own else BERT, None, (VOCABULARY,))

    @property
    def weights(self) -> str:
        """Of the authors' file and its configuration."""
        return self.files.weights

    def fingerprint(self) -> dict[str, Any]:
        """The weights and the vocabulary, and not where they lie."""
        return {**super().fingerprint(), "vocabulary": self.vocabulary.weights}

    def _load(self) -> None:
        from transformers import BlipTextModel, BlipVisionModel

        from masc_core.comparators import imagereward_weights as names
        from masc_core.loading import load_state, load_torch_file

        where = self.files.name_or_path
        state = load_torch_file(self.files.path(WEIGHTS), where)
        said: dict[str, Any] = {"where": where, "configured": CONFIG}
        sees = names.vision_config(state, SIDE, where)
        reads = names.text_config(self._configuration(), sees.hidden_size, where)
        vision = load_state(BlipVisionModel, sees, names.vision_state(state), **said)
        written = names.text_state(state)
        text = load_state(BlipTextModel, reads, written, add_pooling_layer=False, **said)
        self._vision = vision.to(self.device, self.dtype)
        self._text = text.to(self.device, self.dtype)
        self._head = names.head(state, reads.hidden_size, where).to(self.device)
        self._tokenizer = self._load_tokenizer(reads.vocab_size)
        self._transform = centre_crop(SIDE, SIDE, CLIP_MEAN, CLIP_STD)

    def _configuration(self) -> Any:
        try:
            return json.loads(self.files.path(CONFIG).read_text())
        except ValueError as error:
            where = self.files.name_or_path
            raise CheckpointError(f"{where}: {CONFIG} is not JSON: {error}") from error

    def _load_tokenizer(self, size: int) -> Any:
        """BERT's with BLIP's tokens, of which there are to be as many as the encoder knows.

        Raises:
            CheckpointError: there are not: it is another vocabulary.
        """
        from transformers import BertTokenizer

        file = self.vocabulary.path(VOCABULARY)
        pieces = file.read_text(encoding="utf-8").split("\n")
        vocabulary = {piece: number for number, piece in enumerate(pieces) if piece}
        tokenizer = BertTokenizer(vocab=vocabulary, do_lower_case=True)
        tokenizer.add_tokens(list(ADDED_TOKENS), special_tokens=True)
        if len(tokenizer) != size:
            raise CheckpointError(
                f"{self.vocabulary.name_or_path}: {VOCABULARY} and {' '.join(ADDED_TOKENS)} are "
                f"{len(tokenizer)} tokens; {CONFIG} says vocab_size {size}"
            )
        return tokenizer

    @property
    def bytes_an_image(self) -> int:
        """Of the image encoder."""
        config = self._vision.config
        n_tokens = (SIDE // config.patch_size) ** 2 + 1
        return activation_bytes(n_tokens, config.hidden_size, config.intermediate_size, self.dtype)

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """See `preprocessing`."""
        return self._transform(image)

    def rewards(self, pixels: torch.Tensor, prompts: Sequence[str]) -> list[float]:
        """Of images (B, 3, H, W), each for a prompt of its own."""
        import torch

        tokens = self._tokenizer(
            list(prompts),
            padding="max_length",
            truncation=True,
            max_length=TEXT_LENGTH,
            return_tensors="pt",
        ).to(self.device)
        with torch.inference_mode():
            read = self._text(
                tokens.input_ids,
                tokens.attention_mask,
                encoder_hidden_states=self._vision(pixels).last_hidden_state,
            ).last_hidden_state[:, 0]
            rewards = self._head(read.float())[:, 0]
        return ((rewards - REWARD_MEAN) / REWARD_STD).tolist()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before it is cut, those that open and close it with them."""
        # A tokenizer that may not cut warns of what is too long; here that is what is asked.
        return [len(ids) for ids in self._tokenizer(list(texts), verbose=False).input_ids]


class ImageRewardScores(NetworkScores[ImageRewardNetwork]):
    """The column `imagereward`. A `protocol.Metric`."""

    def __init__(self, names: Sequence[str], settings: ComparatorSettings) -> None:
        """Nothing is loaded before `load`; torch is not even imported."""
        super().__init__(names, settings, ImageRewardNetwork(names[0], settings))
        self.columns: Mapping[str, Kind] = {self.name: "float64"}

    def prepare(
        self,
        key: str,
        image: Image.Image,
        masks: Mapping[str, np.ndarray],
        prompt: str | None,
        subject: str | None,
    ) -> PreparedGeneration:
        """The image resized, and the whole prompt; nothing of a reference."""
        import torch

        if prompt is None:
            return PreparedGeneration(torch.empty(0), None)
        return PreparedGeneration(self.network.prepare(image), prompt)

    def encode_references(self, batch: Batch) -> list[Features]:
        """Nothing: only the prompt counts."""
        return [{} for _ in batch.samples]

    def score(
        self, batch: Batch, references: Sequence[Sequence[EncodedReference]]
    ) -> dict[str, list[Any]]:
        """The rewards, and which prompts were cut."""
        prompts = [own.prompt for own in batch.samples]
        counts = self.network.count_tokens(prompts)
        return {
            self.name: self.network.rewards(batch.pixels, prompts),
            NOTES: ["; ".join(notes_of_cut(self.name, n, TEXT_LENGTH)) or None for n in counts],
        }
