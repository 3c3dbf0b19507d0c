"""Releases: in a directory, on the hub as its cache on this machine, and what is not there."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from masc_core.checkpoint import CheckpointError
from masc_core.comparators.releases import Release, find_companion, find_release, read_weights

CODE = """
import sys
from masc_core.comparators import ComparatorSettings, make_comparators
metric = make_comparators(["hpsv3"], ComparatorSettings())
found = metric.fingerprint()
[weights] = metric.network.release.weight_files(["HPSv3.safetensors"])
print(found["weights"], found["backbone"], weights, {"torch", "transformers"} & set(sys.modules))
"""


def run_offline(cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def put_in_cache(cache: Path, name: str, commit: str, files: Path) -> Path:
    own = cache / f"models--{name.replace('/', '--')}"
    (own / "refs").mkdir(parents=True)
    (own / "refs" / "main").write_text(commit)
    return Path(shutil.copytree(files, own / "snapshots" / commit))


@pytest.mark.slow
def test_the_published_ones_go_by_their_commits_and_cost_no_torch(tmp_path: Path) -> None:
    from tests.parity.small_qwen2_vl import BACKBONE, write_backbone

    write_backbone(tmp_path)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "HPSv3.safetensors").touch()
    own, other = "a" * 40, "b" * 40
    folder = put_in_cache(tmp_path / "hub", "MizzenAI/HPSv3", own, tmp_path / "weights")
    lacking = run_offline(tmp_path / "hub")
    assert "Qwen/Qwen2-VL-7B-Instruct: no such directory, and as a hub id" in lacking.stderr
    put_in_cache(tmp_path / "hub", f"Qwen/{BACKBONE}", other, tmp_path / BACKBONE)
    found = run_offline(tmp_path / "hub")
    expected = f"commit:{own} commit:{other} {folder}/HPSv3.safetensors set()"
    assert found.stdout.strip() == expected, found.stderr


def test_a_companion_lies_in_the_directory_or_where_its_name_says(tmp_path: Path) -> None:
    for name in ("release/tower", "elsewhere/tower", "elsewhere/other"):
        (tmp_path / name).mkdir(parents=True)
    release = find_release(str(tmp_path / "release"))
    beside = find_companion(release, str(tmp_path / "elsewhere" / "tower"))
    assert beside.folder == tmp_path / "release" / "tower"
    away = find_companion(release, str(tmp_path / "elsewhere" / "other"))
    assert away.folder == tmp_path / "elsewhere" / "other"
    reason = "needs none in this directory, or /nowhere/none: no such directory$"
    with pytest.raises(CheckpointError, match=f"^{release.folder}: {reason}"):
        find_companion(release, "/nowhere/none")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache on this machine; the hub itself is not reachable."""
    return moved_hub(tmp_path / "hub", monkeypatch)


def moved_hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return cache


def cached_release(hub: Path, files: Path, **texts: str) -> Release:
    """`owner/name`, whose snapshot has these files and no other."""
    files.mkdir()
    for name, text in texts.items():
        (files / name.replace("__", ".")).write_text(text)
    put_in_cache(hub, "owner/name", "a" * 40, files)
    return find_release("owner/name")


INDEX = json.dumps({"weight_map": {"a": "1.bin", "b": "2.bin"}})


def test_an_index_without_its_weights_tells_no_number(hub: Path, tmp_path: Path) -> None:
    """`find_release` fetches what is small, and an index is."""
    found = cached_release(hub, tmp_path / "files", pytorch_model__bin__index__json=INDEX)
    assert found.n_weights() is None
    torch.save({"a": torch.zeros(5)}, found.folder / "1.bin")
    assert found.n_weights() is None
    torch.save({"b": torch.zeros(2, 3, dtype=torch.float16)}, found.folder / "2.bin")
    assert found.n_weights() == 11  # whatever their precision
    (found.folder / "2.bin").write_bytes(b"no weights")
    assert found.n_weights() is None


def test_the_hub_is_asked_for_the_number_that_is_not_here(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = {"model__safetensors__index__json": INDEX}
    found = cached_release(hub, tmp_path / "files", **index)
    monkeypatch.setattr(
        "masc_core.comparators.releases.said_by_hub",
        lambda *own: {("owner/name", "a" * 40): 7}[own],
    )
    assert found.n_weights() == 7
    # Which does not count files of other names.
    assert found.n_weights(["HPSv3.safetensors"]) is None
    assert find_release(str(tmp_path / "files")).n_weights() is None


def test_a_pickled_release_is_found_where_it_is_loaded(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = cached_release(hub, tmp_path / "files", config__json='{"a": 1}', model__safetensors="")
    pickled = pickle.dumps(found)
    assert str(hub).encode() not in pickled
    hub.rename(tmp_path / "elsewhere")
    moved_hub(tmp_path / "elsewhere", monkeypatch)
    there: Release = pickle.loads(pickled)
    assert there == found
    assert there.read_json("config.json") == {"a": 1}
    assert there.weight_files() == [there.folder / "model.safetensors"]
    assert there.folder == tmp_path / "elsewhere" / "models--owner--name" / "snapshots" / ("a" * 40)
    moved_hub(tmp_path / "empty", monkeypatch)
    with pytest.raises(CheckpointError, match=r"^owner/name: .* neither cached here nor reachable"):
        pickle.loads(pickled).read_json("config.json")


def test_weights_behind_a_hub_that_cannot_be_reached_are_not_said_to_be_none(
    hub: Path, tmp_path: Path
) -> None:
    found = cached_release(hub, tmp_path / "files", config__json="{}")
    reason = r"model\.safetensors is not cached here, and the hub cannot be reached: \S.*$"
    with pytest.raises(CheckpointError, match=f"^owner/name: {reason}") as raised:
        found.weight_files()
    assert "\n" not in str(raised.value)
    (found.folder / "pytorch_model.bin").touch()
    assert [file.name for file in found.weight_files()] == ["pytorch_model.bin"]


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return find_release(str(tmp_path))


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ("[]", "model.safetensors.index.json is not a JSON object"),
        ("{", "model.safetensors.index.json is not JSON"),
        ("{}", "model.safetensors.index.json has no weight_map"),
        (json.dumps({"weight_map": {"a": "../b.safetensors"}}), "files of other directories"),
        (json.dumps({"weight_map": {"a": "b.safetensors"}}), "no b.safetensors, which model."),
    ],
)
def test_an_index_that_leads_nowhere_is_refused(release: Release, index: str, reason: str) -> None:
    (release.folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(CheckpointError, match=reason):
        release.identity(["model.safetensors", "model.safetensors.index.json"])


def test_safetensors_come_before_pickles_and_all_shards_are_read(release: Release) -> None:
    torch.save({"a": torch.zeros(2)}, release.folder / "pytorch_model.bin")
    first, second = ({name: torch.full((3,), float(i))} for i, name in enumerate("ab"))
    for file, own in (("1.safetensors", first), ("2.safetensors", second)):
        save_file(own, release.folder / file)
    index = {"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}
    (release.folder / "model.safetensors.index.json").write_text(json.dumps(index))
    files = release.weight_files()
    assert [file.name for file in files] == ["1.safetensors", "2.safetensors"]
    read = read_weights(files, "here")
    assert {name: own.tolist() for name, own in read.items()} == {"a": [0] * 3, "b": [1] * 3}
    assert release.n_weights() == 6


def test_damaged_weights_are_one_line(release: Release) -> None:
    (release.folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(OSError, match=r"^here: model\.safetensors is damaged: .*$"):
        read_weights(release.weight_files(), "here")
