"""Making segmenters: names, settings, fingerprints and checkpoints, before anything is computed."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from masc_core.checkpoint import CheckpointError
from masc_core.segmenters import SEGMENTERS, load_segmenter, make_segmenter, segment_image
from tests.faults.serving import QuietHandler, served
from tests.masc_core.segmenters.checkpoints import write_sam2_video, write_sam3_video
from tests.masc_core.segmenters.small import FIRST_NETWORK, TWO_STAGE, small_settings
from tests.pictures import painted

pytestmark = pytest.mark.slow

IMAGE, _ = painted((90, 60), 0)

PUBLISHED = {
    "sam3": {
        "name_or_path": "facebook/sam3",
        "dtype": "bfloat16",
        "score_threshold": 0.5,
        "mask_threshold": 0.5,
    },
    "clipseg": {"name_or_path": "CIDAS/clipseg-rd64-refined", "mask_threshold": 0.5},
    "grounded_sam2": {
        "name_or_path": "IDEA-Research/grounding-dino-base",
        "box_threshold": 0.3,
        "text_threshold": 0.25,
        "mask_threshold": 0.0,
        "sam2_name_or_path": "facebook/sam2.1-hiera-large",
    },
    "owlv2_sam2": {
        "name_or_path": "google/owlv2-base-patch16-ensemble",
        "box_threshold": 0.2,
        "mask_threshold": 0.0,
        "sam2_name_or_path": "facebook/sam2.1-hiera-large",
    },
}


def test_defaults_are_the_published_ones() -> None:
    assert set(PUBLISHED) == set(SEGMENTERS)
    for name, expected in PUBLISHED.items():
        segmenter = make_segmenter(name)
        assert {key: getattr(segmenter, key) for key in expected} == expected


@pytest.mark.parametrize("name", list(FIRST_NETWORK))
def test_whatever_changes_masks_changes_the_fingerprint(
    name: str, checkpoints: Mapping[str, str], tmp_path: Path
) -> None:
    settings = small_settings(name, checkpoints)
    found = make_segmenter(name, **settings).fingerprint()
    assert json.loads(json.dumps(found)) == found
    elsewhere = shutil.copytree(settings["name_or_path"], tmp_path / "elsewhere")
    moved = {**settings, "name_or_path": str(elsewhere)}
    assert make_segmenter(name, **moved).fingerprint() == found
    others: list[dict[str, Any]] = [{"dtype": "bfloat16"}, {"mask_threshold": 0.75}]
    if name != "clipseg":
        others.append({"score_threshold" if name == "sam3" else "box_threshold": 0.75})
    with (elsewhere / "model.safetensors").open("ab") as weights:
        weights.write(b" ")
    others.append(moved)
    if name in TWO_STAGE:
        sam2 = shutil.copytree(settings["sam2_name_or_path"], tmp_path / "sam2")
        with (sam2 / "processor_config.json").open("a") as file:
            file.write(" ")
        others.append({"sam2_name_or_path": str(sam2)})
    for other in others:
        assert make_segmenter(name, **{**settings, **other}).fingerprint() != found, other


@pytest.mark.parametrize("name", list(FIRST_NETWORK))
def test_what_is_made_travels_to_a_worker(name: str, checkpoints: Mapping[str, str]) -> None:
    made = make_segmenter(name, **small_settings(name, checkpoints))
    made.fingerprint()
    travelled = pickle.loads(pickle.dumps(made))
    assert travelled.fingerprint() == made.fingerprint()
    travelled.load()
    assert segment_image(travelled, IMAGE, "dog").shape == (60, 90)


def test_making_one_and_its_fingerprint_imports_no_torch(checkpoints: Mapping[str, str]) -> None:
    settings = {name: small_settings(name, checkpoints) for name in FIRST_NETWORK}
    code = (
        "import sys; from masc_core.segmenters import make_segmenter\n"
        f"for name, settings in {settings!r}.items():\n"
        "    make_segmenter(name, **settings).fingerprint()\n"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_a_wrong_name_or_setting_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"segmenter 'sam_3' is not known; did you mean sam3\?"):
        make_segmenter("sam_3")
    with pytest.raises(ValueError, match="'yolo' is not known; there are sam3, clipseg, grounded"):
        make_segmenter("yolo")
    with pytest.raises(
        ValueError, match=r"clipseg has no setting 'box_threshold'; did you mean mask_threshold\?"
    ):
        make_segmenter("clipseg", box_threshold=0.5)


def without_weights(path: Path) -> None:
    (path / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (without_weights, "no weights in this directory"),
    ],
)
def test_a_directory_that_is_no_checkpoint_says_what_it_lacks(
    spoil: Callable[[Path], None], reason: str, checkpoints: Mapping[str, str], tmp_path: Path
) -> None:
    spoiled = shutil.copytree(checkpoints["clipseg"], tmp_path / "spoiled")
    spoil(spoiled)
    with pytest.raises(CheckpointError, match=f"^{spoiled}: {reason}"):
        make_segmenter("clipseg", name_or_path=str(spoiled)).fingerprint()


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("clipseg", {"name_or_path": "sam3"}, "model_type is 'sam3', not clipseg$"),
        ("sam3", {"name_or_path": "sam2"}, "model_type is 'sam2', not sam3 or sam3_video$"),
        (
            "grounded_sam2",
            {"sam2_name_or_path": "owlv2"},
            "model_type is 'owlv2', not sam2 or sam2_video$",
        ),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused_by_name(
    name: str, settings: dict[str, str], reason: str, checkpoints: Mapping[str, str]
) -> None:
    wrong = {key: checkpoints[network] for key, network in settings.items()}
    segmenter = make_segmenter(name, **{**small_settings(name, checkpoints), **wrong})
    with pytest.raises(CheckpointError, match=reason):
        segmenter.fingerprint()
    with pytest.raises(CheckpointError, match=reason):
        segmenter.load()


def test_code_that_a_checkpoint_brings_is_not_run(
    checkpoints: Mapping[str, str], tmp_path: Path
) -> None:
    path = shutil.copytree(checkpoints["clipseg"], tmp_path / "clipseg")
    own_code = {"AutoModel": "own_code.Model", "AutoProcessor": "own_code.Processor"}
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        if (path / name).is_file():
            config = json.loads((path / name).read_text())
            (path / name).write_text(json.dumps({**config, "auto_map": own_code}))
    marker = tmp_path / "was-run"
    (path / "own_code.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    mask = load_segmenter("clipseg", name_or_path=str(path))(IMAGE, "dog")
    assert mask.shape == (60, 90)
    assert not marker.exists()


def test_a_checkpoint_that_lacks_weights_is_refused(
    checkpoints: Mapping[str, str], tmp_path: Path
) -> None:
    path = shutil.copytree(checkpoints["clipseg"], tmp_path / "clipseg")
    weights = load_file(path / "model.safetensors")
    del weights["decoder.film_mul.weight"]
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 weights are missing: decoder\.film_mul\.weight"):
        make_segmenter("clipseg", name_or_path=str(path)).load()


def test_weights_that_are_cut_off_are_one_line(
    checkpoints: Mapping[str, str], tmp_path: Path
) -> None:
    path = shutil.copytree(checkpoints["clipseg"], tmp_path / "clipseg")
    content = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=f"^{path}: cannot be loaded: [^\n]+$"):
        make_segmenter("clipseg", name_or_path=str(path)).load()


def test_a_checkpoint_that_is_neither_here_nor_cached_is_one_line(tmp_path: Path) -> None:
    code = "from masc_core.segmenters import load_segmenter; load_segmenter('sam3')"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr.strip().splitlines()[-1] == (
        "masc_core.checkpoint.CheckpointError: facebook/sam3: no such directory, and as a hub id "
        "neither cached here nor reachable"
    )


class GatedHub(QuietHandler):
    """A hub that says of every file what the real one says of a gated checkpoint's."""

    def do_HEAD(self) -> None:
        self.send_response(401)
        self.send_header("X-Error-Code", "GatedRepo")
        self.end_headers()

    do_GET = do_HEAD


@pytest.mark.services
def test_a_gated_checkpoint_says_how_to_get_it(tmp_path: Path) -> None:
    code = "from masc_core.segmenters import load_segmenter; load_segmenter('sam3')"
    with served(GatedHub) as port:
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={
                **{name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"},
                "HF_HUB_CACHE": str(tmp_path),
                "HF_ENDPOINT": f"http://127.0.0.1:{port}",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.stderr.strip().splitlines()[-1] == (
        "masc_core.checkpoint.CheckpointError: facebook/sam3: gated; accept its licence on "
        "huggingface.co and log in (hf auth login)"
    )


@pytest.mark.parametrize(
    ("name", "setting", "write"),
    [
        ("sam3", "name_or_path", write_sam3_video),
        ("grounded_sam2", "sam2_name_or_path", write_sam2_video),
    ],
)
def test_released_checkpoints_that_also_track_videos_are_loaded(
    name: str,
    setting: str,
    write: Callable[[Path], Path],
    checkpoints: Mapping[str, str],
    tmp_path: Path,
) -> None:
    settings = {**small_settings(name, checkpoints), setting: str(write(tmp_path))}
    mask = load_segmenter(name, **settings)(IMAGE, "dog")
    assert mask.shape == (60, 90)
    assert set(np.unique(mask)) <= {0, 255}


def test_the_pages_segmenter_of_ones_own_is_a_file_and_a_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "segmenters.md").read_text()
    [code] = [code for code in re.findall(r"```python\n(.*?)```", page, re.S) if "class" in code]
    assert len(code.splitlines()) < 40
    (tmp_path / "dark_places.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(SEGMENTERS, "dark_places", "dark_places:DarkPlaces")
    mask = load_segmenter("dark_places", below=100)(IMAGE, "night")
    np.testing.assert_array_equal(mask, (np.asarray(IMAGE.convert("L")) < 100) * 255)
    assert 0 < mask.mean() < 255
