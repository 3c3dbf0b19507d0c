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

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from masc_core.checkpoint import CheckpointError
from masc_core.comparators.network import activation_bytes
from masc_core.comparators.prompt_scores import PromptNetwork, PromptScore, PromptScores
from masc_core.comparators.releases import Release, find_companion, find_release, read_weights
from masc_core.comparators.settings import ComparatorSettings
from masc_core.comparators.transforms import CLIP_MEAN, CLIP_STD, centre_crop

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from tokenizers import Encoding

CONFIG, WEIGHTS, VOCABULARY = "med_config.json", "ImageReward.pt", "vocab.txt"

BERT = "google-bert/bert-base-uncased"
"""Where the vocabulary is, as the authors' files come without one."""

BERT_TOKENS = ("[CLS]", "[MASK]", "[PAD]", "[SEP]", "[UNK]")
"""Of the vocabulary, no words."""

ADDED_TOKENS = ("[DEC]", "[ENC]")
"""By which BLIP adds to that, after its last."""

SIDE = 224
"""Pixels that the image encoder sees."""

TEXT_LENGTH = 35
"""Tokens of a prompt, those that open and close it with them."""

N_AROUND = 2
"""Tokens that do."""

N_WEIGHTS = 446_000_000
"""Of the published file, about."""

REWARD_MEAN, REWARD_STD = 0.16717362830052426, 1.0333394966054072
"""Of the authors' rewards before they are normalised (image-reward 1.5, ImageReward.py)."""


class ImageRewardNetwork(PromptNetwork):
    """BLIP and a head."""

    published = "zai-org/ImageReward"
    published_n_weights = N_WEIGHTS
    weight_names = (WEIGHTS,)
    preprocessing = (
        f"shorter side {SIDE} bicubic, centre {SIDE}, CLIP's mean and std; {TEXT_LENGTH} tokens"
    )

    def __init__(self, name: str, settings: ComparatorSettings) -> None:
        """See `ImageNetwork`; `name_or_path` may be a directory with `WEIGHTS` and `CONFIG`, and
        `VOCABULARY` in one that is called bert-base-uncased."""
        super().__init__(name, settings)
        self._revision = settings.revision

    @cached_property
    def release(self) -> Release:
        """See `PromptNetwork.release`."""
        found = find_release(self.name_or_path, self._revision)
        found.file(CONFIG)
        return found

    @cached_property
    def vocabulary(self) -> Release:
        """BERT's, looked up once as well."""
        found = find_companion(self.release, BERT)
        found.file(VOCABULARY)
        return found

    @cached_property
    def weights(self) -> str:
        """Of the authors' file and its configuration."""
        return self.release.identity([WEIGHTS])

    def fingerprint(self) -> dict[str, Any]:
        """The vocabulary counts as well."""
        return {**super().fingerprint(), "vocabulary": self.vocabulary.identity()}

    def _load(self) -> None:
        from transformers import BlipTextModel, BlipVisionModel

        from masc_core.comparators import imagereward_weights as names
        from masc_core.loading import load_state

        where = self.release.name_or_path
        state = read_weights(self.release.weight_files([WEIGHTS]), where)
        said: dict[str, Any] = {"where": where, "configured": CONFIG}
        sees = names.vision_config(state, SIDE, where)
        reads = names.text_config(self.release.read_json(CONFIG), sees.hidden_size, where)
        vision = load_state(BlipVisionModel, sees, names.vision_state(state), **said)
        written = names.text_state(state)
        text = load_state(BlipTextModel, reads, written, add_pooling_layer=False, **said)
        self._vision = vision.to(self.device, self.dtype)
        self._text = text.to(self.device, self.dtype)
        self._head = names.head(state, reads.hidden_size, where).to(self.device)
        self._tokenizer = self._load_tokenizer(reads.vocab_size)
        self._reserved = (*BERT_TOKENS, *ADDED_TOKENS)
        self._transform = centre_crop(SIDE, SIDE, CLIP_MEAN, CLIP_STD)

    def _load_tokenizer(self, size: int) -> Any:
        """BERT's with BLIP's tokens, of which there are to be as many as the encoder knows.

        Raises:
            CheckpointError: there are not: it is another vocabulary.
        """
        from tokenizers import BertWordPieceTokenizer

        file = self.vocabulary.file(VOCABULARY)
        try:
            tokenizer = BertWordPieceTokenizer(str(file), lowercase=True)
        except TypeError as error:  # without the tokens that open and close a text
            raise CheckpointError(
                f"{self.vocabulary.name_or_path}: {VOCABULARY}: {error}"
            ) from error
        tokenizer.add_special_tokens(list(ADDED_TOKENS))
        if tokenizer.get_vocab_size() != size:
            raise CheckpointError(
                f"{self.vocabulary.name_or_path}: {VOCABULARY} and {' '.join(ADDED_TOKENS)} are "
                f"{tokenizer.get_vocab_size()} tokens; {CONFIG} says vocab_size {size}"
            )
        tokenizer.enable_truncation(TEXT_LENGTH)
        tokenizer.enable_padding(length=TEXT_LENGTH)
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

    def judge(self, pixels: torch.Tensor, prompts: Sequence[str]) -> list[PromptScore]:
        """The rewards of images (B, 3, H, W) and their prompts."""
        import torch

        texts = self._tokenizer.encode_batch(list(prompts))
        ids, visible = (
            torch.tensor([getattr(own, name) for own in texts], device=self.device)
            for name in ("ids", "attention_mask")
        )
        with torch.inference_mode():
            read = self._text(
                ids, visible, encoder_hidden_states=self._vision(pixels).last_hidden_state
            ).last_hidden_state[:, 0]
            rewards = (self._head(read.float())[:, 0] - REWARD_MEAN) / REWARD_STD
        return [
            PromptScore(reward, n_tokens(text), min(n_tokens(text), TEXT_LENGTH))
            for reward, text in zip(rewards.tolist(), texts, strict=True)
        ]


def n_tokens(text: Encoding) -> int:
    """Of a text before it was cut; each part of what was cut off is opened and closed again."""
    parts = [text, *text.overflowing]
    return sum(sum(own.attention_mask) for own in parts) - N_AROUND * len(text.overflowing)


def imagereward(names: Sequence[str], settings: ComparatorSettings) -> PromptScores:
    """The metric `imagereward`."""
    return PromptScores(names, settings, ImageRewardNetwork(names[0], settings))
