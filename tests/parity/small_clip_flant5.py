"""The files of a small CLIP-FlanT5 beside its weights, laid out as those of
`zhiqiulin/clip-flant5-xxl`, `openai/clip-vit-large-patch14-336` and `google/flan-t5-xxl`: read by
the transformers of VQAScore's package and by ours. Imports neither."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from tests.parity.reference import fill

TOWER, TOKENIZER = "clip-vit-large-patch14-336", "flan-t5-xxl"
"""By which both find them."""

SIDE = 56

WORDS = (
    *("▁Yes", "▁yes", "▁no", "▁figure", "▁show", "▁Does", "▁this", "▁answer", "▁a", "▁of", "▁the"),
    *("▁on", "▁photo", "▁beach", "\u00e0", "\u00e9", "\u00f4"),
)
LETTERS = "etaoinshrdlucmfywgpbvkxjqz" + "ADIPRUSTY" + "\"?.:,!;-'"
PIECES = ("<pad>", "</s>", "<unk>", "▁", *WORDS, *LETTERS)
"""Of the tokenizer, in the order of their numbers; the sentinels follow. What is not here is
unknown to it."""
N_TOKENS = len(PIECES) + 100
N_ROWS = N_TOKENS + 28
"""Of the embeddings, which are more, as the published ones are."""


def score(piece: str) -> float:
    """Of a piece in a tokenizer that would rather have few of them."""
    return 0.0 if piece in PIECES[:3] else -8.0 - len(piece) / 100 if len(piece) > 1 else -4.0


CLIP: Mapping[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "image_size": SIDE,
    "patch_size": 14,
}

IMAGES: Mapping[str, Any] = {
    "crop_size": SIDE,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": SIDE,
}

T5: Mapping[str, Any] = {
    "d_ff": 48,
    "d_kv": 8,
    "d_model": 32,
    "decoder_start_token_id": 0,
    "eos_token_id": 1,
    "feed_forward_proj": "gated-gelu",
    "num_heads": 4,
    "num_layers": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
    "vocab_size": N_ROWS,
}

ANSWER = (PIECES.index("▁Yes"), PIECES.index("</s>"))
"""Its tokens."""
DIMENSION, READ, SAID = 5, 12.0, 1.5
"""Where a decoder that has read what comes before is pushed to the answer, and how far."""


def write_images(folder: Path) -> None:
    """The processor, in the form of CLIP's own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "preprocessor_config.json").write_text(json.dumps(IMAGES, indent=1))


def fill_state(state: MutableMapping[str, Any], answer: Sequence[int] = ANSWER) -> None:
    """Weights that their names decide, of so few bits that bfloat16 holds them, and of which the
    answer is neither certain nor as good as impossible."""
    fill(state)
    read = [T5["decoder_start_token_id"], *answer[:-1]]
    state["shared.weight"][read, DIMENSION] = READ
    state["lm_head.weight"][list(answer), DIMENSION] = SAID
    for weight in state.values():
        weight.copy_(weight.bfloat16())
