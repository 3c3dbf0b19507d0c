"""A complete SigLIP checkpoint with random weights, for where scores need not mean anything.

What it writes loads like a trained one, through `AutoModel` and `AutoProcessor`, in a second and
without a network.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch

from masc_core.torchvision_compat import make_torchvision_importable

TEXT_LENGTH = 64
"""Tokens that every prompt is padded or cut to, as in the released SigLIP checkpoints."""

_SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
_SPACE = "▁"
_LETTERS = string.ascii_lowercase

_PAIRS = [(first, second) for first in _SPACE + _LETTERS for second in _LETTERS]
"""Merges of two letters: a prompt of about a hundred characters fits `TEXT_LENGTH` by them."""


def write_random_checkpoint(
    path: str | Path,
    *,
    naflex: bool = True,
    seed: int = 0,
    hidden_size: int = 64,
    layers: int = 2,
    heads: int = 4,
    patch_size: int = 16,
    image_size: int = 224,
) -> None:
    """Write config, weights (float32 safetensors), image processor and tokenizer into `path`.

    The same arguments write the same bytes.

    Args:
        path: directory; made if missing.
        naflex: a SigLIP2 NaFlex model, of free image size; else a fixed-size SigLIP model.
        hidden_size: width of both towers and of the embeddings; a multiple of `heads`.
        layers: of each tower.
        image_size: side of the fixed-size model's input, in pixels; NaFlex has none.
    """
    make_torchvision_importable()
    import transformers

    tokenizer = spelling_tokenizer(_PAIRS)
    tower = {
        "hidden_size": hidden_size,
        "intermediate_size": 4 * hidden_size,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }
    text = {**tower, **siglip_text_config(tokenizer)}
    vision = {**tower, "patch_size": patch_size}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any
        processor: Any
        if naflex:
            model = transformers.Siglip2Model(
                transformers.Siglip2Config(text_config=text, vision_config=vision)
            )
            processor = transformers.Siglip2Processor(
                transformers.Siglip2ImageProcessor(patch_size=patch_size), tokenizer
            )
        else:
            vision["image_size"] = image_size
            model = transformers.SiglipModel(
                transformers.SiglipConfig(text_config=text, vision_config=vision)
            )
            size = {"height": image_size, "width": image_size}
            processor = transformers.SiglipProcessor(
                transformers.SiglipImageProcessor(size=size), tokenizer
            )
    _sharpen_attention(model.text_model)
    model.save_pretrained(path)
    processor.save_pretrained(path)


@torch.no_grad()
def _sharpen_attention(tower: torch.nn.Module) -> None:
    """Let texts differ: untrained attention takes a mean, and most of a padded prompt is padding.

    Doubled queries and keys bring the cosine of two prompts from about 0.99 to about 0.7.
    """
    for name, weight in tower.named_parameters():
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            weight.mul_(2)


def siglip_text_config(tokenizer: Any) -> dict[str, Any]:
    """What the text tower's configuration takes from its tokenizer."""
    return {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": TEXT_LENGTH,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def spelling_tokenizer(merges: Sequence[tuple[str, str]]) -> Any:
    """A SigLIP2 tokenizer that knows letters, every byte, and what `merges` make of letters.

    Any text has a token for all of it: what is not plain English is spelled in UTF-8 bytes.

    Args:
        merges: the two halves of each longer piece, earlier ones going first; a word begins with
            `▁`.
    """
    from tokenizers.processors import TemplateProcessing
    from transformers import Siglip2Tokenizer

    pieces = [
        *_SPECIAL,
        *(f"<0x{byte:02X}>" for byte in range(256)),
        _SPACE,
        *_LETTERS,
        *string.digits,
        *string.punctuation,
        *(first + second for first, second in merges),
    ]
    tokenizer = Siglip2Tokenizer(
        vocab={piece: index for index, piece in enumerate(dict.fromkeys(pieces))},
        merges=cast(Any, list(merges)),
        padding_side="right",
        model_max_length=TEXT_LENGTH,
    )
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", tokenizer.eos_token_id)]
    )
    return tokenizer
