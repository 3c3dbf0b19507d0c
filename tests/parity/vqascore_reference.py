"""VQAScore by its authors' package, small: CLIP-FlanT5 on the CPU, in float32.

The package's module of CLIP-FlanT5 is whole, and so is what it imports; the packages above it are
not run, as they import some thirty other models and look for ffmpeg. Of its table of models the
paths differ, and after it has rounded its weights to bfloat16 as it always does, they are float32
again: they are such that nothing is lost.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from masc_core.torchvision_compat import make_torchvision_importable

make_torchvision_importable()

PACKAGE = "t2v_metrics"
for name in (PACKAGE, f"{PACKAGE}.models", f"{PACKAGE}.models.vqascore_models"):
    module = ModuleType(name)
    found = find_spec(PACKAGE) if name == PACKAGE else None
    root = Path(found.origin or "").parent if found else Path(sys.modules[PACKAGE].__path__[0])
    module.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
    sys.modules[name] = module

import sentencepiece  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import save_model  # noqa: E402
from t2v_metrics.models.vqascore_models.clip_t5.model import (  # noqa: E402
    CLIPT5Config,
    CLIPT5ForConditionalGeneration,
    ModelArguments,
)
from t2v_metrics.models.vqascore_models.clip_t5_model import (  # noqa: E402
    CLIP_T5_MODELS,
    CLIPT5Model,
    default_answer_template,
    default_question_template,
)
from t2v_metrics.models.vqascore_models.mm_utils import IMAGE_TOKEN_INDEX  # noqa: E402
from transformers import (  # noqa: E402
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    T5Tokenizer,
    T5TokenizerFast,
)

from tests.parity.reference import fill, out, read_cases, write_expected  # noqa: E402

MODEL = "clip-flant5-xxl"
TOWER, TOKENIZER = "clip-vit-large-patch14-336", "flan-t5-xxl"
SIDE, PATCH = 56, 14
N_PIECES, N_ROWS = 160, 300
"""Of the tokenizer, without its 100 sentinels; of the embeddings, which are more."""
LOGIT = 8.0
"""Of each token of an answer, where that of another is about 0: far likelier than one of 200 others."""


def write_tower(folder: Path) -> None:
    """A small CLIP, from which the authors' class begins; it sees more than it crops to."""
    config = CLIPVisionConfig(
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=3,
        image_size=SIDE,
        patch_size=PATCH,
    )
    CLIPVisionModel(config).save_pretrained(folder)
    CLIPImageProcessor(
        size={"shortest_edge": SIDE + 6}, crop_size={"height": SIDE, "width": SIDE}
    ).save_pretrained(folder)


def write_tokenizer(folder: Path) -> int:
    """Pieces of what is asked, as sentencepiece finds them: how many tokens there are."""
    folder.mkdir()
    texts = [default_question_template.format(case.prompt) for case in read_cases()]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*texts, "Yes", "USER: ASSISTANT:"] * 20),
        model_prefix=str(folder / "spiece"),
        vocab_size=N_PIECES,
        model_type="unigram",
        character_coverage=0.995,
        hard_vocab_limit=False,
        **{"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
    )
    (folder / "spiece.vocab").unlink()
    tokenizer = T5Tokenizer(str(folder / "spiece.model"))
    tokenizer.save_pretrained(folder)
    T5TokenizerFast.from_pretrained(folder).save_pretrained(folder)
    return len(tokenizer)


def build(tower: Path, tokenizer: Path) -> CLIPT5ForConditionalGeneration:
    """The authors' class, its vision modules made as its training makes them; its answer is neither
    certain nor as good as impossible."""
    config = CLIPT5Config(
        vocab_size=N_ROWS,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
    )
    model = CLIPT5ForConditionalGeneration(config)
    model.initialize_vision_modules(ModelArguments(vision_tower=str(tower)))
    state = model.state_dict()
    fill(state)
    lean(model.eval(), T5Tokenizer.from_pretrained(tokenizer)(default_answer_template).input_ids)
    for weight in state.values():
        weight.copy_(weight.bfloat16())
    return model


@torch.no_grad()
def lean(model: CLIPT5ForConditionalGeneration, answer: list[int]) -> None:
    """Let a model expect this answer as much as another, of a picture of nothing."""
    said = model(
        input_ids=torch.tensor([[IMAGE_TOKEN_INDEX, model.config.eos_token_id]]),
        attention_mask=torch.ones(1, 2, dtype=torch.bool),
        labels=torch.tensor([answer]),
        images=torch.zeros(1, 3, SIDE, SIDE),
        output_hidden_states=True,
    ).decoder_hidden_states[-1][0]
    model.lm_head.weight *= 0.3
    model.lm_head.weight[answer] = LOGIT * said / said.square().sum(-1, keepdim=True)


def scores_of(folder: Path) -> list[float]:
    """By the package, of all cases."""
    entry = CLIP_T5_MODELS[MODEL]
    entry["tokenizer"]["path"] = str(folder / TOKENIZER)
    entry["model"]["path"] = str(folder)
    scorer = CLIPT5Model(MODEL, device="cpu", cache_dir=str(folder / "cache"))
    (folder / "cache").rmdir()
    scorer.model.float()
    return [scorer.forward([str(own.image)], [own.prompt]).item() for own in read_cases()]


def main() -> None:
    for kind, is_safe in (("safetensors", True), ("shards of .bin", False)):
        folder = out(kind.replace(" ", "-"))
        write_tower(folder / TOWER)
        n_tokens = write_tokenizer(folder / TOKENIZER)
        assert n_tokens < N_ROWS
        model = build(folder / TOWER, folder / TOKENIZER)
        # The class itself cannot: it has one weight under several names. The hub's converter, which
        # keeps one of them, does it by this function.
        if is_safe:
            model.config.save_pretrained(folder)
            save_model(model, str(folder / "model.safetensors"), {"format": "pt"})
        else:
            model.save_pretrained(folder, safe_serialization=False, max_shard_size="100KB")
        write_expected(
            folder,
            scores_of(folder),
            loaded="T5 and CLIP of transformers, our projector",
            packages=["t2v_metrics", "transformers", "torch"],
            settings={"dtype": "float32"},
            weights={name: list(own.shape) for name, own in model.state_dict().items()},
        )


if __name__ == "__main__":
    main()
