"""Which checkpoint a comparator stands for, known before anything of it is loaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from masc_core.checkpoint import CheckpointError
from masc_core.comparators import COMPARATORS, ComparatorSettings, load_comparator, make_comparators
from tests.masc_core.comparators import checkpoints

pytestmark = pytest.mark.slow

WRITTEN: dict[str, Callable[[Path, int], None]] = {
    "clip_i": checkpoints.write_clip,
    "dino_i": checkpoints.write_dino,
    "dinov3": checkpoints.write_dinov3,
    "am_radio": checkpoints.write_radio,
}

ANOTHER = {"clip_i": "dino_i", "dino_i": "dinov3", "dinov3": "am_radio", "am_radio": "clip_i"}
"""A checkpoint of the wrong kind for each."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints by the name of the comparator."""
    path = tmp_path_factory.mktemp("checkpoints")
    for name, write in WRITTEN.items():
        write(path / name, 0)
    return path


def fingerprint(name: str, path: Path, **settings: Any) -> dict[str, Any]:
    own = ComparatorSettings(name_or_path=str(path), **settings)
    return dict(make_comparators([name], own).fingerprint())


@pytest.mark.parametrize("name", WRITTEN)
def test_what_changes_its_values_changes_its_fingerprint_and_nothing_else(
    name: str, folder: Path, tmp_path: Path
) -> None:
    own = fingerprint(name, folder / name)
    assert own.keys() == {"weights", "preprocessing", "dtype"}
    assert json.loads(json.dumps(own)) == own
    assert fingerprint(name, shutil.copytree(folder / name, tmp_path / "moved")) == own
    assert fingerprint(name, folder / name, dtype="float16") == {**own, "dtype": "float16"}
    WRITTEN[name](tmp_path / "other", 1)
    other = fingerprint(name, tmp_path / "other")
    assert other != own
    assert other == {**own, "weights": other["weights"]}


@pytest.mark.parametrize("name", ["clip_i", "dinov3"])
def test_a_processor_counts_where_it_prepares_the_images(
    name: str, folder: Path, tmp_path: Path
) -> None:
    path = shutil.copytree(folder / name, tmp_path / "other")
    [file] = {*path.glob("processor_config.json"), *path.glob("preprocessor_config.json")}
    changed = file.read_text().replace('"do_rescale": true', '"do_rescale": false')
    assert changed != file.read_text()
    file.write_text(changed)
    assert fingerprint(name, path) != fingerprint(name, folder / name)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_checkpoint_of_another_kind_is_refused_before_it_is_loaded(
    name: str, folder: Path
) -> None:
    path = folder / ANOTHER[name]
    own, other = (
        json.loads((folder / each / "config.json").read_text())["model_type"]
        for each in (name, ANOTHER[name])
    )
    with pytest.raises(CheckpointError, match=f"^{path}: model_type is '{other}', not {own}$"):
        fingerprint(name, path)


@pytest.mark.parametrize(
    ("name", "files", "reason"),
    [
        ("clip_i", ["model.safetensors"], r"no weights in this directory \(model\.safetensors"),
        ("clip_t", ["tokenizer.json"], r"no tokenizer in this directory \(tokenizer\.json\)$"),
        ("clip_i", ["processor_config.json"], "no image processor in this directory"),
        ("dinov3", ["preprocessor_config.json"], "no image processor in this directory"),
        ("am_radio", ["config.json"], r"no config\.json in this directory"),
    ],
)
def test_what_a_checkpoint_lacks_is_named(
    folder: Path, tmp_path: Path, name: str, files: list[str], reason: str
) -> None:
    path = shutil.copytree(folder / ("clip_i" if name == "clip_t" else name), tmp_path / "spoiled")
    for file in files:
        (path / file).unlink()
    with pytest.raises(CheckpointError, match=f"^{path}: {reason}"):
        fingerprint(name, path)


def test_code_of_the_checkpoints_own_is_neither_run_nor_a_reason_to_refuse_it(
    folder: Path, tmp_path: Path
) -> None:
    """The published C-RADIO asks for code that transformers has by itself."""
    path = shutil.copytree(folder / "am_radio", tmp_path / "asking")
    config = json.loads((path / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "hf_model.RADIOConfig", "AutoModel": "hf_model.RADIOModel"}
    (path / "config.json").write_text(json.dumps(config))
    marker = tmp_path / "run"
    code = f"from pathlib import Path\nPath({str(marker)!r}).touch()"
    (path / "hf_model.py").write_text(code)
    fingerprint("am_radio", path)
    load_comparator("am_radio", name_or_path=str(path))
    assert not marker.exists()


def test_the_setting_that_names_a_checkpoint_is_in_its_source() -> None:
    clip = make_comparators(["clip_t"], ComparatorSettings(name_or_path="/somewhere"))
    assert clip.source == "comparators.clip_t.name_or_path=/somewhere"
    dino = make_comparators(["dino_i"], ComparatorSettings())
    assert dino.source == "comparators.dino_i.name_or_path=facebook/dino-vits8"


@pytest.mark.parametrize("name", WRITTEN)
def test_a_dtype_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="dtype='int8': expected one of float32, bfloat16"):
        make_comparators([name], ComparatorSettings(dtype="int8"))  # type: ignore[arg-type]


def test_the_published_clip_is_the_conversion_to_safetensors(folder: Path, tmp_path: Path) -> None:
    """The hub as its cache on this machine."""
    commit = "c" * 40
    cached = tmp_path / "models--openai--clip-vit-base-patch32"
    (cached / "refs" / "refs" / "pr").mkdir(parents=True)
    (cached / "refs" / "refs" / "pr" / "15").write_text(commit)
    shutil.copytree(folder / "clip_i", cached / "snapshots" / commit)
    code = (
        "from masc_core.comparators import load_comparator\n"
        "print(load_comparator('clip_i').metric.fingerprint()['weights'])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.strip() == f"commit:{commit}", run.stderr


@pytest.mark.parametrize("name", COMPARATORS)
def test_every_name_has_something_that_makes_it(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if name == "dreamsim":
        pytest.importorskip("dreamsim")
    monkeypatch.setattr("masc_core.comparators.weight_files.find_spec", lambda name: True)
    monkeypatch.setattr("masc_core.comparators.mast3r.CODE", ())
    source = str(tmp_path) if name.startswith("mast3r") else None
    metric = make_comparators([name], ComparatorSettings(source=source))
    assert metric.name == name
    assert metric.columns[name] == "float64"
