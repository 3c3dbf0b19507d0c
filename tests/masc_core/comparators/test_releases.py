"""Releases: in a directory, on the hub as its cache on this machine, and what is not there."""

from __future__ import annotations

import json
import os
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
