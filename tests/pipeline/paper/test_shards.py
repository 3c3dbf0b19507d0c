"""The paper's data sets as shards: packed once, and anew where a tree has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.pipeline.paper.settings import PaperConfig
from jobs.pipeline.paper.shards import Unavailable, packed_shards
from tests.datasets.trees import dreambenchplus_tree, painted_shots


def test_a_tree_is_packed_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    tree = dreambenchplus_tree(tmp_path / "dreambenchplus", painted_shots(), methods=["emu2"])
    config = PaperConfig(data=str(tmp_path), out=str(tmp_path / "out"))
    first = packed_shards(config, "dreambenchplus")
    shard = tmp_path / "out" / "shards" / "dreambenchplus" / "generations-000000.tar"
    written = shard.stat().st_mtime_ns
    assert packed_shards(config, "dreambenchplus").notes == first.notes
    (tree.root / "data_human_rating").mkdir()  # which is not packed
    packed_shards(config, "dreambenchplus")
    assert shard.stat().st_mtime_ns == written
    tree.text("emu2", tree.concepts[0], 0).unlink()
    tree.mask("emu2", tree.concepts[1], 0).unlink()
    again = packed_shards(config, "dreambenchplus")
    assert shard.stat().st_mtime_ns > written
    assert any("without the text of their prompt" in note for note in again.notes)
    assert (first.lacks_masks, again.lacks_masks) == (False, True)
    assert again.has_masks == {"generations": True, "references": True}


def test_a_tree_of_another_layout_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "orida" / "test").mkdir(parents=True)
    config = PaperConfig(data=str(tmp_path), out=str(tmp_path / "out"))
    with pytest.raises(Unavailable, match=r"no data: .*it has no train/ \(there are: test\)"):
        packed_shards(config, "orida")
    with pytest.raises(Unavailable, match=r"no data: there is no .*/dreambenchplus"):
        packed_shards(config, "dreambenchplus")
