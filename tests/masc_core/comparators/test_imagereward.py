"""ImageReward, held against what its authors' package said of a checkpoint that is written here
again (`tests/parity`)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from masc_core.checkpoint import CheckpointError
from masc_core.comparators import ComparatorSettings, load_comparator, make_comparators
from masc_core.protocol import NOTES
from tests.masc_core.comparators.checkpoints import write_imagereward
from tests.masc_core.comparators.scoring import Note, Sample, batches, loaded, scored
from tests.parity.comparing import LEAST_SPREAD, TOLERANCE, largest_difference, ours, recorded
from tests.parity.imagereward_reference import SMALL, SMALL_VOCABULARY, SPECIAL

pytestmark = pytest.mark.slow

VOCABULARY = "bert-base-uncased/vocab.txt"

SAID = recorded("imagereward")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint that was recorded."""
    path = tmp_path_factory.mktemp("imagereward")
    write_imagereward(path)
    return path


@pytest.fixture
def copied(release: Path, tmp_path: Path) -> Path:
    return shutil.copytree(release, tmp_path / "copied")


def change(path: Path, how: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    """Write a copied checkpoint's weights again."""
    state = torch.load(path / "ImageReward.pt", weights_only=True)
    how(state)
    torch.save(state, path / "ImageReward.pt")


def test_it_gives_what_the_authors_package_gave(
    release: Path, photos: object, note_difference: Note
) -> None:
    found = list(ours("imagereward", release, {"name_or_path": "."}))
    note_difference("imagereward", found, SAID["scores"])
    assert largest_difference(SAID["scores"], found) <= TOLERANCE
    assert torch.tensor(found).std() > LEAST_SPREAD


@pytest.mark.parametrize("size", [1, 3])
def test_a_row_is_the_reward_whatever_the_batch(
    release: Path, generations: list[Sample], references: list[Sample], size: int
) -> None:
    metric = loaded("imagereward", path=release)
    columns = scored(metric, generations, references, size)
    assert [*columns] == ["imagereward", NOTES]
    plain = load_comparator("imagereward", name_or_path=str(release))
    expected = [plain(own.image, prompt=own.prompt) for own in generations]
    assert columns["imagereward"] == pytest.approx(expected, abs=1e-5)
    assert columns[NOTES] == [None] * len(generations)


def test_a_prompt_that_is_cut_says_so(release: Path, generations: list[Sample]) -> None:
    metric = loaded("imagereward", path=release)
    image, mask = generations[0].image, generations[0].mask
    # One token a letter, and two around them.
    texts = ["q" * 1, " ".join("q" * 33), " ".join("q" * 34), " ".join("q" * 90)]
    [batch] = batches(metric, [Sample(image, mask, text) for text in texts], 4)
    columns = metric.score(batch, [[]] * 4)
    assert columns[NOTES] == [
        None,
        None,
        "imagereward: 36 tokens, cut to 35",
        "imagereward: 92 tokens, cut to 35",
    ]
    within, over, far_over = columns["imagereward"][1:]
    assert over == pytest.approx(within, abs=1e-5)
    assert far_over == pytest.approx(within, abs=1e-5)


def test_a_prompt_with_a_mark_of_berts_or_blips_is_refused(release: Path) -> None:
    metric = loaded("imagereward", path=release)
    square = Image.new("RGB", (20, 20))
    for mark in (*SPECIAL, "[DEC]", "[ENC]"):
        with pytest.raises(
            ValueError, match=rf"^the prompt has \{mark}, a mark of the model's own$"
        ):
            metric.prepare("", square, {}, f"a dog {mark}", None)
    # In small letters they are read as they are spelled.
    assert metric.prepare("", square, {}, "a dog [sep]", None).pixels.numel() > 0


def test_its_memory_is_told_by_the_shapes_of_its_weights(release: Path) -> None:
    metric = make_comparators(["imagereward"], ComparatorSettings(str(release), dtype="float16"))
    state = torch.load(release / "ImageReward.pt", weights_only=True)
    assert metric.weight_bytes == 2 * sum(own.numel() for own in state.values()) > 0


def test_the_fingerprint_tells_weights_configuration_and_vocabulary(copied: Path) -> None:
    def fingerprint() -> object:
        settings = ComparatorSettings(name_or_path=str(copied))
        return make_comparators(["imagereward"], settings).fingerprint()

    found = [fingerprint()]
    assert found[0] == fingerprint()
    (copied / VOCABULARY).write_text("\n".join(SMALL_VOCABULARY[::-1]))
    found.append(fingerprint())
    (copied / "med_config.json").write_text(json.dumps({**SMALL, "layer_norm_eps": 1e-6}))
    found.append(fingerprint())
    change(copied, lambda state: state["mlp.layers.7.bias"].add_(1))
    found.append(fingerprint())
    assert len({json.dumps(own) for own in found}) == 4


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (lambda state: state.pop("mlp.layers.4.bias"), "1 weights are missing: mlp.layers.4.bias"),
        (
            lambda state: state.pop(
                "blip.text_encoder.encoder.layer.1.crossattention.self.key.bias"
            ),
            "1 weights are missing: encoder.layer.1.crossattention.self.key.bias",
        ),
        (
            lambda state: state.pop("blip.visual_encoder.blocks.0.norm1.weight"),
            r"1 weights are missing: encoder.layers.0.layer_norm1.weight",
        ),
        (
            lambda state: state.update({"blip.visual_encoder.pos_embed": torch.zeros(1, 10, 128)}),
            "1 weights are of another shape than its med_config.json says: "
            "embeddings.position_embedding",
        ),
        (
            lambda state: state.update({"mlp.layers.2.weight": torch.zeros(128, 7)}),
            r"mlp.layers.2.weight has shape \(128, 7\), expected \(128, 1024\)",
        ),
        (lambda state: state.clear(), "2 weights are missing: blip.visual_encoder.patch_embed"),
    ],
)
def test_weights_that_do_not_fit_are_one_line(
    copied: Path, how: Callable[[dict[str, torch.Tensor]], Any], reason: str
) -> None:
    change(copied, how)
    with pytest.raises(OSError, match=f"^{copied}: {reason}") as raised:
        loaded("imagereward", path=copied)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_weights_is_one_line_and_none_of_its_code_runs(copied: Path) -> None:
    file = copied / "ImageReward.pt"
    marker = copied / "run"
    for spoil in (
        lambda: file.write_bytes(b"no weights"),
        lambda: file.write_bytes(file.read_bytes()[:1000]),
        lambda: torch.save([1, 2], file),
        lambda: torch.save({"mlp": Touch(marker)}, file),
    ):
        spoil()
        with pytest.raises(OSError, match=f"^{copied}: ImageReward.pt holds ") as raised:
            loaded("imagereward", path=copied)
        assert "\n" not in str(raised.value)
    assert not marker.exists()


class Touch:
    """What a pickle can do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_another_vocabulary_is_one_line(copied: Path) -> None:
    (copied / VOCABULARY).write_text("\n".join(SMALL_VOCABULARY[:-1]))
    n = len(SMALL_VOCABULARY) + 1
    reason = (
        rf"vocab.txt and \[DEC\] \[ENC\] are {n} tokens; med_config.json says vocab_size {n + 1}"
    )
    with pytest.raises(CheckpointError, match=f"^{copied}/bert-base-uncased: {reason}$"):
        loaded("imagereward", path=copied)
    (copied / VOCABULARY).write_text("\n".join(["[PAD]", "[UNK]", *SMALL_VOCABULARY[5:]]))
    with pytest.raises(CheckpointError, match=f"^{copied}/.*: vocab.txt: .*_token not found"):
        loaded("imagereward", path=copied)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "does not say hidden_size, "),
        ("[1]", "is not a JSON object$"),
        ("no JSON", "is not JSON: "),
    ],
)
def test_another_configuration_is_one_line(copied: Path, text: str, reason: str) -> None:
    (copied / "med_config.json").write_text(text)
    with pytest.raises((OSError, ValueError), match=f"^{copied}: med_config.json {reason}"):
        loaded("imagereward", path=copied)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("ImageReward.pt", r"no weights \(ImageReward.pt\)$"),
        ("med_config.json", "no med_config.json$"),
        (VOCABULARY, "no vocab.txt$"),
    ],
)
def test_what_its_directory_lacks_is_named_before_it_is_loaded(
    copied: Path, file: str, reason: str
) -> None:
    (copied / file).unlink()
    metric = make_comparators(["imagereward"], ComparatorSettings(name_or_path=str(copied)))
    with pytest.raises(CheckpointError, match=f"^{(copied / file).parent}: {reason}"):
        metric.fingerprint()


def test_the_vocabulary_is_berts_where_the_directory_has_none(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub as its cache on this machine."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    commit = "b" * 40
    cached = tmp_path / "models--google-bert--bert-base-uncased"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    (cached / "snapshots" / commit).mkdir(parents=True)
    (copied / VOCABULARY).rename(cached / "snapshots" / commit / "vocab.txt")
    (copied / VOCABULARY).parent.rmdir()
    metric = loaded("imagereward", path=copied)
    assert metric.fingerprint()["vocabulary"] == f"commit:{commit}"


def test_the_published_weights_are_named_where_they_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    metric = make_comparators(["imagereward"], ComparatorSettings())
    with pytest.raises(CheckpointError, match=r"^zai-org/ImageReward: .* neither cached here nor"):
        metric.fingerprint()


def test_before_it_is_loaded_it_costs_no_torch(release: Path) -> None:
    code = (
        "import sys; from masc_core.comparators import ComparatorSettings, make_comparators;"
        f"make_comparators(['imagereward'], ComparatorSettings({str(release)!r})).fingerprint();"
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_lower_precision_is_near(
    release: Path, generations: list[Sample], references: list[Sample]
) -> None:
    exact, rounded = (
        scored(loaded("imagereward", path=release, dtype=each), generations, references[:1], 4)
        for each in ("float32", "bfloat16")
    )
    assert rounded["imagereward"] == pytest.approx(exact["imagereward"], abs=0.3)
    assert rounded["imagereward"] != exact["imagereward"]
    assert torch.tensor(exact["imagereward"]).std() > 1
