"""The small trained encoder in the box: complete, small, and loaded by its name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from jobs.demo.world.prompts import prompt
from jobs.demo.world.render import random_pose, render
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import SUBJECTS
from masc_core import Encoder, MaSC
from masc_core.checkpoint import find_checkpoint
from masc_core.defaults import DEMO_CHECKPOINT
from tests.pictures import painted


@pytest.fixture(scope="module")
def masc() -> MaSC:
    return MaSC.from_pretrained("demo", device="cpu")


def test_it_is_at_most_five_megabytes_with_tokenizer_processor_and_model_card() -> None:
    files = {path.name: path.stat().st_size for path in DEMO_CHECKPOINT.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= set(files)
    assert sum(files.values()) < 5_000_000


def test_its_weights_are_stored_in_float16_and_loaded_in_float32(masc: MaSC) -> None:
    stored = load_file(DEMO_CHECKPOINT / "model.safetensors")
    assert {weight.dtype for weight in stored.values()} == {torch.float16}
    assert 1e6 < sum(weight.numel() for weight in stored.values()) < 2e6
    loaded = masc.encoder._vision.state_dict()
    assert {weight.dtype for weight in loaded.values()} == {torch.float32}
    name = "post_layernorm.weight"
    assert torch.equal(loaded[name], stored[f"vision_model.{name}"].float())


def test_it_never_takes_more_patches_than_it_has_seen(masc: MaSC) -> None:
    assert masc.encoder.max_num_patches == 144
    assert masc.encoder.prepare_image(painted((640, 640), 0)[0])[1] == (12, 12)
    assert Encoder.from_pretrained("demo", max_num_patches=64).max_num_patches == 64


def test_its_name_wins_over_a_directory_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    found = find_checkpoint("demo")
    by_path = find_checkpoint(str(DEMO_CHECKPOINT))
    assert (found.name_or_path, found.is_naflex) == ("demo", True)
    assert found.weights == by_path.weights
    assert Encoder.from_pretrained("demo").dim == 128


def test_it_knows_a_subject_again_and_the_scene_that_was_asked_for(masc: MaSC) -> None:
    """The first thing that a newcomer tries."""
    import numpy as np

    rng = np.random.default_rng(0)
    subject, other = SUBJECTS[:2]
    beach, snow = SCENES[:2]

    def photo(who: object, where: object) -> tuple:
        image, mask = render(who, where, random_pose(rng), (192, 192))  # type: ignore[arg-type]
        return image, np.asarray(mask)

    reference = photo(subject, SCENES[5])
    words = prompt(subject, beach)
    faithful = masc.score(*reference, *photo(subject, beach), words, subject.noun)
    wrong_subject = masc.score(*reference, *photo(other, beach), words, subject.noun)
    wrong_scene = masc.score(*reference, *photo(subject, snow), words, subject.noun)
    assert faithful.cp > wrong_subject.cp + 0.1
    assert faithful.pf > wrong_scene.pf + 0.2


def test_its_scores_are_those_of_the_authors_package(tmp_path: Path) -> None:
    from masc import MaSC as Oracle
    from transformers import AutoModel

    # The oracle tells NaFlex by the name.
    path = shutil.copytree(DEMO_CHECKPOINT, tmp_path / "demo-naflex")
    # And takes weights in the precision that they are stored in.
    AutoModel.from_pretrained(path, dtype=torch.float32).save_pretrained(path)
    ours = MaSC.from_pretrained(str(path), device="cpu", max_num_patches=100)
    oracle = Oracle(str(path), device="cpu", naflex_max_patches=100)
    reference, generation = painted((300, 200), 1), painted((200, 260), 2)
    words = "a photo of a red robot on a sandy beach"
    a = ours.score(*reference, *generation, words, "red robot")
    b = oracle.score(*reference, *generation, words, "red robot")
    assert a.cp == pytest.approx(b.cp, abs=1e-5)
    assert a.pf == pytest.approx(b.pf, abs=1e-5)


def test_a_wheel_holds_it(tmp_path: Path) -> None:
    from setuptools import Distribution
    from setuptools.config.pyprojecttoml import apply_configuration

    root = Path(__file__).parents[2]
    distribution = Distribution()
    distribution.src_root = None
    apply_configuration(distribution, root / "pyproject.toml")
    patterns = distribution.package_data["masc_core"]
    packed = {path.name for pattern in patterns for path in (root / "masc_core").glob(pattern)}
    assert {path.name for path in DEMO_CHECKPOINT.iterdir()} <= packed
