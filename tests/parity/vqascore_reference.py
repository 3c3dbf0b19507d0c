"""VQAScore by its authors' package, small: CLIP-FlanT5 on the CPU, in float32.

The package's module of CLIP-FlanT5 is whole, and so is what it imports; the packages above it are
not run, as they import some thirty other models and look for ffmpeg. Of its table of models the
paths differ, and after it has rounded its weights to bfloat16 as it always does, they are float32
again: they are such that nothing is lost.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
from safetensors.torch import save_model  # noqa: E402
from sentencepiece import sentencepiece_model_pb2  # noqa: E402
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
from transformers import (  # noqa: E402
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    T5Tokenizer,
    T5TokenizerFast,
)

from tests.parity.reference import out, read_cases, write_expected  # noqa: E402
from tests.parity.small_clip_flant5 import (  # noqa: E402
    CLIP,
    N_ROWS,
    PIECES,
    SIDE,
    T5,
    TOKENIZER,
    TOWER,
    fill_state,
    score,
    write_images,
)

MODEL = "clip-flant5-xxl"
TRAINED_PIECES = 160


def write_tower(folder: Path, published: bool) -> None:
    """A small CLIP, from which the authors' class begins; by a processor that crops, or by one in
    the form of the published, which does not."""
    CLIPVisionModel(CLIPVisionConfig(**CLIP)).save_pretrained(folder)
    if published:
        write_images(folder)
        return
    CLIPImageProcessor(
        size={"shortest_edge": SIDE + 6}, crop_size={"height": SIDE, "width": SIDE}
    ).save_pretrained(folder)


def write_pieces(file: Path) -> None:
    """The tokenizer of `PIECES`, as sentencepiece keeps it, by the normalisation of T5's own."""
    train_pieces(file)
    trained = sentencepiece_model_pb2.ModelProto.FromString(file.read_bytes())
    kinds = sentencepiece_model_pb2.ModelProto.SentencePiece
    known = {"<pad>": kinds.CONTROL, "</s>": kinds.CONTROL, "<unk>": kinds.UNKNOWN}
    proto = sentencepiece_model_pb2.ModelProto()
    for piece in PIECES:
        proto.pieces.add(piece=piece, score=score(piece), type=known.get(piece, kinds.NORMAL))
    spec = proto.trainer_spec
    spec.model_type = spec.UNIGRAM
    spec.vocab_size = len(PIECES)
    spec.pad_id, spec.eos_id, spec.unk_id, spec.bos_id = 0, 1, 2, -1
    proto.normalizer_spec.CopyFrom(trained.normalizer_spec)
    file.write_bytes(proto.SerializeToString())


def train_pieces(file: Path) -> None:
    """Pieces of what is asked, as sentencepiece finds them, by the normalisation of T5's own."""
    texts = [default_question_template.format(case.prompt) for case in read_cases()]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*texts, "Yes", "USER: ASSISTANT:"] * 20),
        model_prefix=str(file.with_suffix("")),
        vocab_size=TRAINED_PIECES,
        model_type="unigram",
        character_coverage=0.995,
        hard_vocab_limit=False,
        minloglevel=2,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
    )
    file.with_suffix(".vocab").unlink()


def write_tokenizer(folder: Path, published: bool) -> list[int]:
    """As T5's is: what sentencepiece keeps, and what the library makes of it.

    Returns:
        The tokens of the answer.
    """
    folder.mkdir()
    (write_pieces if published else train_pieces)(folder / "spiece.model")
    tokenizer = T5Tokenizer(str(folder / "spiece.model"))
    tokenizer.save_pretrained(folder)
    T5TokenizerFast.from_pretrained(folder).save_pretrained(folder)
    assert len(tokenizer) < N_ROWS
    return tokenizer(default_answer_template).input_ids


def build(tower: Path, answer: Sequence[int]) -> CLIPT5ForConditionalGeneration:
    """The authors' class, its vision modules made as its training makes them."""
    model = CLIPT5ForConditionalGeneration(CLIPT5Config(**T5))
    model.initialize_vision_modules(ModelArguments(vision_tower=str(tower)))
    fill_state(model.state_dict(), answer)
    return model


def scores_of(folder: Path) -> list[float]:
    """By the package, of all cases."""
    entry = CLIP_T5_MODELS[MODEL]
    entry["tokenizer"]["path"] = str(folder / TOKENIZER)
    entry["model"]["path"] = str(folder)
    scorer = CLIPT5Model(MODEL, device="cpu", cache_dir=str(folder / "cache"))
    (folder / "cache").rmdir()
    scorer.model.float()
    return [scorer.forward([str(own.image)], [own.prompt]).item() for own in read_cases()]


def write(name: str, is_small: bool) -> None:
    """A checkpoint by the authors' class, and its scores by their code."""
    folder = out(name)
    write_tower(folder / TOWER, published=is_small)
    answer = write_tokenizer(folder / TOKENIZER, published=is_small)
    model = build(folder / TOWER, answer)
    # The class itself writes no safetensors: it has one weight under several names. The hub's
    # converter, which keeps one of them, does it by this function.
    if is_small:
        model.config.save_pretrained(folder)
        save_model(model, str(folder / "model.safetensors"), {"format": "pt"})
    else:
        model.save_pretrained(folder, safe_serialization=False, max_shard_size="100KB")
    scores = scores_of(folder)
    (folder / TOWER / "model.safetensors").unlink()  # the release has CLIP's weights itself
    shapes = {key: list(own.shape) for key, own in model.state_dict().items()}
    write_expected(
        folder,
        scores,
        loaded="T5 and CLIP of transformers, our projector",
        packages=["t2v_metrics", "transformers", "torch"],
        settings={"dtype": "float32"},
        weights=shapes if is_small else None,
    )


if __name__ == "__main__":
    write("small", is_small=True)
    write("shards-of-bin", is_small=False)
