"""HPSv3, against what its authors' package said of the same weights, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from masc_core.checkpoint import CheckpointError
from masc_core.comparators import ComparatorSettings, make_comparators
from masc_core.comparators.hpsv3_question import CALL_TO_RATE, INSTRUCTION
from masc_core.protocol import NOTES, Metric
from tests.masc_core.comparators.preference_checkpoints import as_recorded, samples, write_hpsv3
from tests.masc_core.comparators.scoring import Note, Sample, batches, loaded
from tests.parity.comparing import recorded
from tests.parity.small_qwen2_vl import BACKBONE

WEIGHTS = "HPSv3.safetensors"

needs_photos = pytest.mark.usefixtures("photos")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("HPSv3")
    write_hpsv3(path)
    return path


@pytest.fixture(scope="module")
def metric(release: Path) -> Metric:
    return loaded("hpsv3", path=release, dtype="float32")


def scores(metric: Metric, generations: list[Sample], size: int) -> list[float]:
    """Of samples in batches of those that may be stacked, in their order."""
    stacks: dict[object, list[int]] = defaultdict(list)
    for i, own in enumerate(generations):
        stacks[metric.prepare("", own.image, {}, own.prompt, None).bucket].append(i)
    found: dict[int, float] = {}
    for numbers in stacks.values():
        parts = batches(metric, [generations[i] for i in numbers], size)
        values = [v for part in parts for v in metric.score(part, [])["hpsv3"]]
        found |= dict(zip(numbers, values, strict=True))
    return [found[i] for i in range(len(generations))]


@pytest.mark.slow
@needs_photos
def test_it_is_what_the_authors_package_says(metric: Metric, note_difference: Note) -> None:
    found = scores(metric, list(samples()), 1)
    assert found == as_recorded("hpsv3")
    note_difference("hpsv3", found, recorded("hpsv3")["scores"])


@pytest.mark.slow
@needs_photos
def test_a_batch_of_questions_of_several_lengths_changes_nothing(metric: Metric) -> None:
    own, *_ = samples()
    asked = [replace(own, prompt=prompt) for prompt in ("", "a dog", "a dog on a beach at dusk")]
    alone = scores(metric, asked, 1)
    assert scores(metric, asked, 3) == pytest.approx(alone, rel=0, abs=1e-5)
    assert max(alone) - min(alone) > 0.01


@pytest.mark.slow
@needs_photos
def test_the_published_precision_is_near_and_its_head_is_exact(
    release: Path, metric: Metric
) -> None:
    rounded = loaded("hpsv3", path=release)
    assert rounded.dtype == torch.bfloat16
    some = list(samples())[:2]
    exact = scores(metric, some, 1)
    found = scores(rounded, some, 1)
    assert found == pytest.approx(exact, rel=0.1, abs=0.1)
    assert found != pytest.approx(exact, rel=1e-4)
    head = rounded.network._head  # type: ignore[attr-defined]
    assert {own.dtype for own in head.parameters()} == {torch.float32}


def test_it_is_asked_word_for_word_what_the_package_asks() -> None:
    """The digest is of the two texts in `data_collator_qwen.py` of hpsv3 1.0.0."""
    digest = hashlib.sha256((INSTRUCTION + CALL_TO_RATE).encode()).hexdigest()
    assert digest == "f6ee57479d4e9eee76b49c00dc962e1e696a5a2b3cc32cebd9b1fa76fe27502c"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((512, 512), (32, 32)),  # 448 x 448, at most 200,704 pixels
        ((1024, 512), (22, 44)),  # 633.6 x 316.8, down to whole 28s
        ((100, 100), (32, 32)),  # 448 x 448, at least as many
        ((100, 50), (24, 46)),  # 633.6 x 316.8, up to whole 28s
    ],
)
def test_an_image_is_brought_to_so_many_pixels_in_whole_blocks(
    metric: Metric, size: tuple[int, int], grid: tuple[int, int]
) -> None:
    prepared = metric.prepare("", Image.new("RGB", size), {}, "a dog", None)
    assert prepared.pixels.shape == (*grid, 3 * 2 * 14 * 14)


@pytest.mark.slow
def test_a_sample_that_cannot_be_judged_is_told_why(metric: Metric) -> None:
    strip, square = Image.new("RGB", (4020, 20)), Image.new("RGB", (20, 20))
    with pytest.raises(ValueError, match=r"^absolute aspect ratio must be smaller than 200"):
        metric.prepare("", strip, {}, "a dog", None)
    for mark in ("<|Reward|>", "<|image_pad|>", "<|im_end|>"):
        with pytest.raises(ValueError, match=r"^the prompt has <"):
            metric.prepare("", square, {}, f"a dog {mark}", None)


@pytest.mark.slow
def test_braces_in_a_prompt_are_braces_and_a_reference_costs_nothing(metric: Metric) -> None:
    own = Sample(Image.new("RGB", (56, 56)), None, "a {} of {text_prompt}")  # type: ignore[arg-type]
    [batch] = batches(metric, [own], 1)
    columns = metric.score(batch, [[]])
    assert math.isfinite(columns["hpsv3"][0])
    assert columns[NOTES] == [None]
    reference = metric.prepare("", own.image, {}, None, None)
    assert reference.pixels.numel() == 0


def test_what_it_is_of_is_in_its_fingerprint(release: Path, tmp_path: Path) -> None:
    def found(path: Path) -> dict[str, object]:
        return dict(make_comparators(["hpsv3"], ComparatorSettings(str(path))).fingerprint())

    own = found(release)
    assert own.keys() == {"weights", "backbone", "preprocessing", "dtype"}
    assert own["dtype"] == "bfloat16"
    moved = shutil.copytree(release, tmp_path / "moved")
    assert found(moved) == own
    template = moved / BACKBONE / "chat_template.json"
    template.write_text(template.read_text().replace("helpful", "harmful"))
    assert found(moved) == {**own, "backbone": found(moved)["backbone"]} != own
    weights = load_file(moved / WEIGHTS)
    weights["rm_head.5.bias"] += 1
    save_file(weights, moved / WEIGHTS)
    assert found(moved)["weights"] != own["weights"]


def test_the_memory_of_its_weights_is_known_before_they_are_loaded(release: Path) -> None:
    metric = make_comparators(["hpsv3"], ComparatorSettings(str(release), dtype="float32"))
    shapes = recorded("hpsv3")["weights"].values()
    expected = 4 * sum(math.prod(shape) for shape in shapes)
    assert metric.network.weight_bytes == expected  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        (WEIGHTS, rf"no weights \({WEIGHTS}\)$"),
        (f"{BACKBONE}/vocab.json", r"Qwen2-VL-7B-Instruct: no tokenizer\.json or vocab\.json$"),
        (f"{BACKBONE}/preprocessor_config.json", r"no preprocessor_config\.json$"),
        (f"{BACKBONE}/config.json", r"no config\.json$"),
    ],
)
def test_what_a_release_lacks_is_named(
    release: Path, tmp_path: Path, spoilt: str, reason: str
) -> None:
    path = shutil.copytree(release, tmp_path / "spoilt")
    (path / spoilt).unlink()
    metric = make_comparators(["hpsv3"], ComparatorSettings(str(path)))
    with pytest.raises(CheckpointError, match=reason):
        metric.fingerprint()


def test_a_setting_that_cannot_be_meant_is_refused(release: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dtype=float16: Qwen2-VL overflows in it"):
        make_comparators(["hpsv3"], ComparatorSettings(dtype="float16"))
    path = shutil.copytree(release, tmp_path / "other")
    config = path / BACKBONE / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "model_type": "qwen2_5_vl"}))
    with pytest.raises(CheckpointError, match=r"model_type is 'qwen2_5_vl', not qwen2_vl$"):
        make_comparators(["hpsv3"], ComparatorSettings(str(path))).fingerprint()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model.norm.weight": None}, r"1 weights are missing: model\..*norm\.weight"),
        ({"rm_head.5.bias": None}, r"its rm_head\.\*: Missing key"),
        ({"rm_head.5.bias": torch.zeros(1)}, r"its rm_head\.\*: size mismatch for 5\.bias"),
        ({"model.norm.weight": torch.zeros(3)}, "1 weights are of another shape"),
        ({"model.layers.0.lora_A": torch.zeros(3)}, "1 weights are of another model"),
        ({"model.embed_tokens.weight": torch.zeros(9, 64)}, "9 embeddings of tokens, but"),
    ],
)
def test_weights_that_are_not_its_own_are_refused(
    release: Path, tmp_path: Path, change: dict[str, torch.Tensor | None], reason: str
) -> None:
    state = {**load_file(release / WEIGHTS), **change}
    path = shutil.copytree(release, tmp_path / "spoilt")
    save_file({name: own for name, own in state.items() if own is not None}, path / WEIGHTS)
    with pytest.raises(OSError, match=f"^{path}: {reason}"):
        loaded("hpsv3", path=path)


@pytest.mark.slow
def test_a_template_that_does_not_show_the_image_is_refused(release: Path, tmp_path: Path) -> None:
    path = shutil.copytree(release, tmp_path / "blind")
    for name in ("chat_template.json", "tokenizer_config.json"):
        file = path / BACKBONE / name
        file.write_text(file.read_text().replace("<|vision_start|><|image_pad|>", "an image"))
    with pytest.raises(OSError, match=r"its chat template shows <\|image_pad\|> 0 times"):
        loaded("hpsv3", path=path)
