"""Which checkpoint a name stands for, found out without loading it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from masc_core.checkpoint import CheckpointError, find_checkpoint


@pytest.fixture
def checkpoint(naflex_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that may be spoiled."""
    return shutil.copytree(naflex_checkpoint, tmp_path / "checkpoint")


def test_a_directory_is_known_by_what_lies_in_it_and_not_by_its_place(
    checkpoint: Path, naflex_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_checkpoint(str(checkpoint))
    assert found.name_or_path == str(checkpoint)
    assert found.revision is None
    assert found.weights.startswith("sha256:")
    assert found.weights == find_checkpoint(str(naflex_checkpoint)).weights
    (checkpoint / "README.md").write_text("Says nothing of scores.")
    assert find_checkpoint(str(checkpoint)).weights == found.weights
    # Workers have working directories of their own.
    monkeypatch.chdir(checkpoint.parent)
    assert find_checkpoint("checkpoint") == found
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    assert find_checkpoint("~/checkpoint") == found


def test_naflex_is_told_by_the_configuration(
    naflex_checkpoint: Path, fixed_checkpoint: Path
) -> None:
    assert find_checkpoint(str(naflex_checkpoint)).is_naflex
    assert not find_checkpoint(str(fixed_checkpoint)).is_naflex


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer_config.json"])
def test_whatever_changes_scores_changes_what_it_is_known_by(checkpoint: Path, name: str) -> None:
    before = find_checkpoint(str(checkpoint)).weights
    with (checkpoint / name).open("ab") as file:
        file.write(b" ")
    assert find_checkpoint(str(checkpoint)).weights != before


def remove(*names: str) -> Callable[[Path], None]:
    return lambda path: [(path / name).unlink(missing_ok=True) for name in names] and None


def model_type(value: object) -> Callable[[Path], None]:
    return lambda path: (path / "config.json").write_text(json.dumps(value)) and None


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (remove("config.json"), r"no config\.json in this directory; is it a checkpoint\?"),
        (remove("model.safetensors"), r"no weights in this directory \(model\.safetensors or"),
        (remove("preprocessor_config.json", "processor_config.json"), "no image processor"),
        (model_type({"model_type": "clip"}), "model_type is 'clip', not siglip or siglip2"),
        (model_type({}), r"config\.json names no model_type"),
        (model_type([]), r"config\.json names no model_type"),
        (lambda path: (path / "config.json").write_text("{"), r"config\.json is not JSON"),
    ],
)
def test_a_directory_that_is_no_checkpoint_says_what_it_lacks(
    checkpoint: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(checkpoint)
    with pytest.raises(CheckpointError, match=f"^{checkpoint}: {reason}"):
        find_checkpoint(str(checkpoint))


@pytest.mark.parametrize("name", ["/no/such", "./no", "~/no", "a/b/c"])
def test_what_can_be_no_hub_id_is_not_looked_for_there(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"^{name}: no such directory$"):
        find_checkpoint(name)
