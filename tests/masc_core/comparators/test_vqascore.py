"""VQAScore, against what its authors' package said of the same weights, and what it refuses."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from masc_core.checkpoint import CheckpointError
from masc_core.comparators import ComparatorSettings, make_comparators
from masc_core.comparators.vqascore import MAX_TOKENS, PREAMBLE, QUESTION, on_square
from masc_core.protocol import NOTES, Metric
from tests.masc_core.comparators.preference_checkpoints import (
    ALIASES,
    as_recorded,
    flant5_state,
    samples,
    write_clip_flant5,
)
from tests.masc_core.comparators.scoring import Note, Sample, batches, loaded, scored
from tests.parity.comparing import recorded
from tests.parity.small_clip_flant5 import CLIP, N_TOKENS, TOKENIZER, TOWER

needs_photos = pytest.mark.usefixtures("photos")


@pytest.fixture(scope="module")
def state() -> Mapping[str, torch.Tensor]:
    return flant5_state()


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory, state: Mapping[str, torch.Tensor]) -> Path:
    path = tmp_path_factory.mktemp("clip-flant5")
    write_clip_flant5(path, state)
    return path


@pytest.fixture(scope="module")
def metric(release: Path) -> Metric:
    return loaded("vqascore", path=release, dtype="float32")


@pytest.mark.slow
@needs_photos
@pytest.mark.parametrize("size", [1, 3])
def test_it_is_what_the_authors_package_says(
    metric: Metric, size: int, note_difference: Note
) -> None:
    columns = scored(metric, list(samples()), [], size)
    assert columns.keys() == {"vqascore", NOTES} == {*metric.columns, NOTES}
    assert columns["vqascore"] == as_recorded("vqascore")
    note_difference("vqascore", columns["vqascore"], recorded("vqascore")["scores"])
    assert columns[NOTES] == [None] * len(columns["vqascore"])


@pytest.mark.slow
@needs_photos
def test_it_is_what_the_library_says_of_the_question(
    metric: Metric, release: Path, state: Mapping[str, torch.Tensor]
) -> None:
    """By T5 and CLIP of transformers, and the projector by hand."""
    from torch.nn.functional import gelu, linear
    from transformers import (
        AutoTokenizer,
        CLIPVisionConfig,
        CLIPVisionModel,
        T5Config,
        T5ForConditionalGeneration,
    )

    own, *_ = samples()
    tokenizer = AutoTokenizer.from_pretrained(release / TOKENIZER)
    config = json.loads((release / "config.json").read_text())
    t5 = T5ForConditionalGeneration(T5Config(**{**config, "model_type": "t5"})).eval()
    t5.lm_head.weight = torch.nn.Parameter(torch.empty_like(t5.lm_head.weight))
    t5.load_state_dict({name: state[name] for name in t5.state_dict()})
    clip = CLIPVisionModel(CLIPVisionConfig(**CLIP)).eval()
    prefix = "vision_tower.vision_tower.vision_model."
    clip.load_state_dict({name: state[prefix + name] for name in clip.state_dict()})

    [batch] = batches(metric, [own], 1)
    before, after, answer = (
        tokenizer(text, return_tensors="pt").input_ids
        for text in (PREAMBLE, QUESTION.format(own.prompt), "Yes")
    )
    with torch.inference_mode():
        # Layers 1, 2 and 3, of which the last is left out.
        seen = clip(batch.pixels, output_hidden_states=True).hidden_states[2][:, 1:]
        for layer in (0, 2):
            weight, bias = (state[f"mm_projector.{layer}.{kind}"] for kind in ("weight", "bias"))
            seen = linear(seen if layer == 0 else gelu(seen), weight, bias)
        read = torch.cat([t5.shared(before), seen, t5.shared(after)], dim=1)
        logits = t5(inputs_embeds=read, labels=answer).logits[0, :, :N_TOKENS]
    likely = logits.softmax(-1)[[0, 1], answer[0]]
    expected = math.sqrt(likely[0] * likely[1])
    assert metric.score(batch, [[]])["vqascore"] == pytest.approx([expected], abs=1e-5)


@pytest.mark.slow
@needs_photos
def test_the_published_precision_is_near(release: Path, metric: Metric) -> None:
    rounded = loaded("vqascore", path=release)
    assert rounded.dtype == torch.bfloat16
    some = list(samples())[:2]
    exact = scored(metric, some, [], 2)["vqascore"]
    found = scored(rounded, some, [], 2)["vqascore"]
    assert found == pytest.approx(exact, rel=0.25)
    assert found != pytest.approx(exact, rel=1e-4)


@pytest.mark.slow
def test_a_prompt_that_is_too_long_is_cut_and_the_row_says_so(metric: Metric) -> None:
    square = Image.new("RGB", (64, 64), (250, 120, 10))
    long = "dog " * MAX_TOKENS
    asked = [long, long + "on the beach"]
    columns = scored(metric, [Sample(square, None, own) for own in asked], [], 2)  # type: ignore[arg-type]
    first, second = columns["vqascore"]
    assert second == pytest.approx(first, abs=1e-7)
    # One of the image, and each `dog ` is four: its letters, and what opens a word.
    tokenizer = metric.network._tokenizer  # type: ignore[attr-defined]
    n_around = (
        len(tokenizer(PREAMBLE).input_ids) + 1 + len(tokenizer(QUESTION.format("")).input_ids)
    )
    said = f"vqascore: {n_around + 4 * MAX_TOKENS} tokens, cut to {MAX_TOKENS}"
    assert columns[NOTES][0] == said


def test_an_image_is_put_on_a_square_of_its_longer_side() -> None:
    image = Image.fromarray(np.arange(1, 13, dtype=np.uint8).reshape(1, 4, 3))
    square = np.asarray(on_square(image, [7, 8, 9]))
    assert square.shape == (4, 4, 3)
    assert square[1].ravel().tolist() == list(range(1, 13))  # (4 - 1) // 2
    assert np.unique(square[[0, 2, 3]].reshape(-1, 3), axis=0).tolist() == [[7, 8, 9]]
    tall = np.asarray(on_square(image.transpose(Image.Transpose.ROTATE_90), [7, 8, 9]))
    assert tall[:, 1].ravel().tolist() == [10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3]


@pytest.mark.slow
def test_weights_are_found_in_shards_and_clips_in_its_own_checkpoint(
    release: Path, metric: Metric, state: Mapping[str, torch.Tensor], tmp_path: Path
) -> None:
    generation = Sample(Image.new("RGB", (80, 60), (9, 90, 190)), None, "a photo")  # type: ignore[arg-type]
    expected = scored(metric, [generation], [], 1)["vqascore"]
    path = shutil.copytree(release, tmp_path / "shards")
    (path / "model.safetensors").unlink()
    tower = {name: own for name, own in state.items() if name.startswith("vision_tower.")}
    others = [name for name in state if name not in tower]
    shards = {"pytorch_model-1.bin": others[::2], "pytorch_model-2.bin": others[1::2]}
    for file, names in shards.items():
        torch.save({name: state[name] for name in names}, path / file)
    where = {name: file for file, names in shards.items() for name in names}
    (path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    prefix = "vision_tower.vision_tower."
    own = {name.removeprefix(prefix): weight for name, weight in tower.items()}
    # As it is in CLIP's own: the other tower beside it, and what older releases kept.
    own |= {"text_model.other": torch.zeros(1)}
    own |= {"vision_model.embeddings.position_ids": torch.arange(17)[None]}
    save_file(own, path / TOWER / "model.safetensors")
    from_two = loaded("vqascore", path=path, dtype="float32")
    found = scored(from_two, [generation], [], 1)
    assert found["vqascore"] == pytest.approx(expected, abs=1e-7)
    (path / TOWER / "model.safetensors").write_bytes(b"others")
    changed = make_comparators(["vqascore"], ComparatorSettings(str(path), dtype="float32"))
    assert changed.fingerprint()["tower"] != from_two.fingerprint()["tower"]


@pytest.mark.slow
def test_marks_of_the_models_own_are_no_prompt(metric: Metric) -> None:
    square = Image.new("RGB", (20, 20))
    for mark in ("<image>", "</s>", "<pad>", "<extra_id_0>"):
        with pytest.raises(ValueError, match=f"^the prompt has {mark}"):
            metric.prepare("", square, {}, f"a dog {mark}", None)
    assert metric.prepare("", square, {}, None, None).pixels.numel() == 0
    braces = Sample(square, None, "a {} of {prompt}")  # type: ignore[arg-type]
    assert math.isfinite(scored(metric, [braces], [], 1)["vqascore"][0])


@pytest.mark.slow
def test_what_it_is_of_is_in_its_fingerprint(release: Path, tmp_path: Path) -> None:
    def found(path: Path) -> dict[str, object]:
        return dict(make_comparators(["vqascore"], ComparatorSettings(str(path))).fingerprint())

    own = found(release)
    assert own.keys() == {"weights", "tower", "tokenizer", "preprocessing", "dtype"}
    moved = shutil.copytree(release, tmp_path / "moved")
    assert found(moved) == own
    images = moved / TOWER / "preprocessor_config.json"
    images.write_text(images.read_text().replace("0.48145466", "0.5"))
    assert found(moved) == {**own, "tower": found(moved)["tower"]} != own
    (moved / "model.safetensors").write_bytes(b"others")
    assert found(moved)["weights"] != own["weights"]


@pytest.mark.slow
def test_the_memory_of_its_weights_is_known_before_they_are_loaded(release: Path) -> None:
    metric = make_comparators(["vqascore"], ComparatorSettings(str(release)))
    shapes = recorded("vqascore")["weights"]
    once = [name for name in shapes if name.removesuffix(".weight") not in ALIASES[1:]]
    expected = 2 * sum(math.prod(shapes[name]) for name in once)
    assert metric.network.weight_bytes == expected  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ("model.safetensors", r"no weights \(model\.safetensors or "),
        ("config.json", r"no config\.json$"),
        (f"{TOWER}/preprocessor_config.json", r"no preprocessor_config\.json$"),
        (f"{TOKENIZER}/tokenizer.json", r"no tokenizer\.json or spiece\.model$"),
    ],
)
def test_what_a_release_lacks_is_named(
    release: Path, tmp_path: Path, spoilt: str, reason: str
) -> None:
    path = shutil.copytree(release, tmp_path / "spoilt")
    (path / spoilt).unlink()
    metric = make_comparators(["vqascore"], ComparatorSettings(str(path)))
    with pytest.raises(CheckpointError, match=f"^{path}.*: {reason}"):
        metric.fingerprint()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mm_vision_tower": None}, "names no mm_vision_tower; is it a CLIP-FlanT5"),
        ({"mm_projector_type": "linear"}, "mm_projector_type is 'linear', not mlp2x_gelu"),
        ({"mm_vision_select_layer": "last"}, "mm_vision_select_layer is no number"),
        ({"mm_vision_select_feature": "cls_patch"}, "mm_vision_select_feature is not 'patch'"),
    ],
)
def test_a_model_of_another_form_is_refused(
    release: Path, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    path = shutil.copytree(release, tmp_path / "other")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(CheckpointError, match=f"^{path}: config.json:? {reason}"):
        make_comparators(["vqascore"], ComparatorSettings(str(path))).fingerprint()


def test_a_precision_that_overflows_is_refused() -> None:
    with pytest.raises(ValueError, match="dtype=float16: T5 overflows in it"):
        make_comparators(["vqascore"], ComparatorSettings(dtype="float16"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lm_head.weight": None}, r"0 rows of lm_head\.weight, but the tokenizer"),
        ({"shared.weight": torch.zeros(9, 32)}, r"9 rows of shared\.weight, but the tokenizer"),
        ({"mm_projector.2.bias": None}, r"expected mm_projector\. 0\.bias, 0\.weight, 2\.bias"),
        ({"encoder.final_layer_norm.weight": None}, "1 weights are missing"),
        ({"encoder.final_layer_norm.weight": torch.zeros(3)}, "1 weights are of another shape"),
        ({"encoder.lora_A": torch.zeros(3)}, "1 weights are of another model"),
    ],
)
def test_weights_that_are_not_its_own_are_refused(
    release: Path, tmp_path: Path, change: dict[str, torch.Tensor | None], reason: str
) -> None:
    own = {**load_file(release / "model.safetensors"), **change}
    path = shutil.copytree(release, tmp_path / "spoilt")
    kept = {name: weight for name, weight in own.items() if weight is not None}
    save_file(kept, path / "model.safetensors")
    with pytest.raises(OSError, match=f"^{path}: {reason}"):
        loaded("vqascore", path=path)


@pytest.mark.slow
def test_code_in_a_pickle_is_not_run(release: Path, tmp_path: Path) -> None:
    path = shutil.copytree(release, tmp_path / "pickled")
    (path / "model.safetensors").unlink()
    torch.save({"shared.weight": Path()}, path / "pytorch_model.bin")
    with pytest.raises(OSError, match=rf"^{path}: pytorch_model\.bin holds no weights that can"):
        loaded("vqascore", path=path)


@pytest.mark.slow
def test_one_prompt_is_not_another(metric: Metric) -> None:
    own = Sample(Image.new("RGB", (64, 64), (1, 200, 90)), None, "a dog")  # type: ignore[arg-type]
    columns = scored(metric, [own, replace(own, prompt="the beach")], [], 2)
    assert columns["vqascore"][0] != pytest.approx(columns["vqascore"][1], abs=1e-4)
