"""Preference models that are described on one machine and loaded on another, whose cache of the hub
lies elsewhere; and what memory they state before there are weights."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from masc_core.checkpoint import CheckpointError
from masc_core.comparators import ComparatorSettings, make_comparators
from masc_core.protocol import Metric
from tests.masc_core.comparators.checkpoints import write_imagereward
from tests.masc_core.comparators.preference_checkpoints import (
    flant5_state,
    write_clip_flant5,
    write_hpsv3,
)
from tests.masc_core.comparators.test_releases import moved_hub, put_in_cache

COMMIT = "a" * 40

PUBLISHED: dict[str, tuple[Callable[[Path], None], str, tuple[str, ...]]] = {
    "imagereward": (write_imagereward, "zai-org/ImageReward", ("google-bert/bert-base-uncased",)),
    "hpsv3": (write_hpsv3, "MizzenAI/HPSv3", ("Qwen/Qwen2-VL-7B-Instruct",)),
    "vqascore": (
        lambda path: write_clip_flant5(path, flant5_state()),
        "zhiqiulin/clip-flant5-xxl",
        ("openai/clip-vit-large-patch14-336", "google/flan-t5-xxl"),
    ),
}


def cached(hub: Path, name: str, files: Path) -> None:
    """A small model in the hub's cache, as its published one would be."""
    write, own_id, companions = PUBLISHED[name]
    files.mkdir()
    write(files)
    for each in companions:
        beside = files / Path(each).name
        put_in_cache(hub, each, COMMIT, beside)
        shutil.rmtree(beside)
    put_in_cache(hub, own_id, COMMIT, files)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_what_one_machine_describes_another_loads_from_its_own_cache(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = moved_hub(tmp_path / "hub", monkeypatch)
    cached(hub, name, tmp_path / "files")
    described = make_comparators([name], ComparatorSettings(dtype="float32"))
    fingerprint = described.fingerprint()
    sent = pickle.dumps(described)
    assert str(tmp_path).encode() not in sent
    moved_hub(tmp_path / "empty", monkeypatch)
    with pytest.raises((CheckpointError, OSError), match="neither cached here nor reachable"):
        pickle.loads(sent).load()
    hub.rename(tmp_path / "elsewhere")
    moved_hub(tmp_path / "elsewhere", monkeypatch)
    metric: Metric = pickle.loads(sent)
    metric.load()
    prepared = metric.prepare("", Image.new("RGB", (56, 56)), {}, "a dog", None)
    assert prepared.pixels.numel() > 0
    assert metric.fingerprint() == fingerprint


@pytest.mark.parametrize(
    ("name", "n_bytes"),
    # By their authors' files: float32; bfloat16.
    [("imagereward", 4 * 446e6), ("hpsv3", 2 * 8.29e9), ("vqascore", 2 * 11.46e9)],
)
def test_only_the_published_one_is_taken_to_be_of_its_size(
    name: str, n_bytes: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = moved_hub(tmp_path / "hub", monkeypatch)
    index = tmp_path / "index"
    index.mkdir()
    # Fetched with the small files, and of weights that are not here.
    text = '{"weight_map": {"a": "pytorch_model-00001-of-00002.bin"}}'
    (index / "pytorch_model.bin.index.json").write_text(text)
    (index / "med_config.json").write_text("{}")
    for each in (PUBLISHED[name][1], "owner/name"):
        put_in_cache(hub, each, COMMIT, index)
    published = make_comparators([name], ComparatorSettings())
    assert published.weight_bytes == pytest.approx(n_bytes, rel=1e-3)
    assert make_comparators([name], ComparatorSettings("owner/name")).weight_bytes is None
