"""What `jobs.pack` makes of each kind of data set, as `jobs.evaluate` reads and scores it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jobs import pack as command
from jobs.pipeline.packing import PackConfig, pack
from jobs.pipeline.run.shard import find_shards
from jobs.pipeline.scoring.config import MetricConfig
from masc_core import MaSC
from tests.commands import rows_of
from tests.datasets.trees import dreambenchplus_tree, orida_tree, painted_shots
from tests.photos import PHOTOS, WHY_NOT, are_there
from tests.pictures import painted
from tests.pipeline.scoring.small_scorer import MAX_NUM_PATCHES, ready_scorer, small_plan
from tests.shards import png

pytestmark = pytest.mark.slow


def scored(folder: Path, checkpoint: Path, **metric: Any) -> list[dict[str, Any]]:
    """The rows of what is packed in `folder`."""
    plan = small_plan(checkpoint, folder, MetricConfig(**metric))
    scorer = ready_scorer(plan, sorted(folder.glob("references-*.tar")), batch_size=4)
    for shard in find_shards([str(path) for path in sorted(folder.glob("generations-*.tar"))]):
        scorer.process(shard)
    return rows_of(folder / "run")


def test_a_dreambenchplus_row_has_its_concepts_reference_and_small_masks_are_skipped(
    tmp_path: Path, naflex_checkpoint: Path
) -> None:
    tree = dreambenchplus_tree(tmp_path / "data", painted_shots())
    small = np.zeros((64, 64), np.uint8)
    small[:4] = 255  # 6.25 % of the rows
    Image.fromarray(small).save(tree.mask("emu2", tree.concepts[0], 0))
    small[3] = 0  # 4.7 %
    Image.fromarray(small).save(tree.mask("emu2", tree.concepts[0], 1))
    Image.fromarray(small).save(tree.reference_mask(tree.concepts[1]))
    out = tmp_path / "out"
    pack(PackConfig(kind="dreambenchplus", source=str(tree.root), out=str(out)))
    rows = scored(out, naflex_checkpoint, min_fg_fraction=0.05)
    skipped = {row["key"] for row in rows if row["status"] == "skipped"}
    assert Counter(row["status"] for row in rows) == {"ok": 7, "skipped": 5}
    assert skipped == {
        f"emu2/{tree.concepts[0]}/1_0",
        *(f"{method}/{tree.concepts[1]}/{i}_0" for method in tree.methods for i in range(2)),
    }
    for row in rows:
        if row["status"] == "ok":
            # The kitten, and the piggy bank; both subjects stand in their prompts.
            assert row["references"] in (["live_subject/animal/00"], ["object/02"])
            assert row["subject_found"]
            assert np.isfinite([row["cp"], row["pf"]]).all()
        assert json.loads(row["extra"])["category"] in ("live_subject/animal", "object")


def test_an_orida_row_has_a_score_for_each_of_its_pairs(
    tmp_path: Path, naflex_checkpoint: Path
) -> None:
    orida_tree(tmp_path / "data", painted_shots((48, 48)))
    out = tmp_path / "out"
    pack(PackConfig(kind="orida", source=str(tmp_path / "data"), out=str(out)))
    rows = scored(out, naflex_checkpoint)
    assert {row["status"] for row in rows} == {"ok"}
    pairs = [
        (key, row["key"], kind, cp)
        for row in rows
        for key, kind, cp in zip(
            row["references"],
            json.loads(row["extra"])["pair"],
            row["cp_per_reference"],
            strict=True,
        )
    ]
    # Three subjects: 3 * 45 pairs within, and as many across.
    assert Counter(kind for _, _, kind, _ in pairs) == {"within": 135, "cross": 135}
    masc = MaSC.from_pretrained(str(naflex_checkpoint), max_num_patches=MAX_NUM_PATCHES)
    for reference, generation, kind, cp in pairs[::67]:
        assert (reference.partition("/")[0] == generation.partition("/")[0]) == (kind == "within")
        first, second = (photo_of(tmp_path / "data", key) for key in (reference, generation))
        assert cp == pytest.approx(masc.score(*first, *second, prompt="a photo").cp, abs=1e-5)


def photo_of(root: Path, key: str) -> tuple[Image.Image, np.ndarray]:
    [image] = root.rglob(f"{key.rpartition('/')[2]}.jpg")
    mask = image.parents[1] / "annotations" / "masks" / f"{image.stem}_mask.jpg"
    return Image.open(image).convert("RGB"), np.asarray(Image.open(mask).convert("L"))


@pytest.mark.skipif(not are_there(), reason=WHY_NOT)
def test_a_folder_of_real_photos_is_scored_as_pairs(
    tmp_path: Path, naflex_checkpoint: Path
) -> None:
    for subject in ("cat", "dog2", "teapot"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / subject).symlink_to(PHOTOS / subject)
    out = tmp_path / "out"
    done = pack(PackConfig(kind="pairs", source=str(tmp_path / "photos"), out=str(out)))
    assert not done.missing.documents()
    rows = scored(out, naflex_checkpoint)
    assert {row["status"] for row in rows} == {"ok"}
    kinds = Counter(kind for row in rows for kind in json.loads(row["extra"])["pair"])
    n = [len(list((PHOTOS / subject).glob("*.jpg"))) for subject in ("cat", "dog2", "teapot")]
    assert kinds["within"] == kinds["cross"] == sum(each * (each - 1) // 2 for each in n)


def test_the_rows_of_a_table_are_scored(tmp_path: Path, naflex_checkpoint: Path) -> None:
    columns: dict[str, list[Any]] = {"image": [], "mask": [], "role": []}
    for i in range(4):
        image, mask = painted((48, 40), i)
        columns["image"].append(png(image))
        columns["mask"].append(png(mask))
        columns["role"].append("reference" if i == 0 else "generation")
    pq.write_table(pa.table(columns), tmp_path / "cats.parquet")
    out = tmp_path / "out"
    values = {"model": "m", "concept": "cat", "prompt": "a cat on a mat", "subject": "cat"}
    pack(PackConfig(kind="hf", source=str(tmp_path / "cats.parquet"), values=values, out=str(out)))
    rows = scored(out, naflex_checkpoint)
    assert [(row["status"], row["references"], row["text"]) for row in rows] == [
        ("ok", ["00000000"], "on a mat")
    ] * 3


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["pack", *words])
    return command.main()


def test_what_is_missing_is_told_on_both_streams(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tree = dreambenchplus_tree(tmp_path / "data", painted_shots((32, 32)), methods=["emu2"])
    tree.image("emu2", tree.concepts[0], 0).write_bytes(b"")
    words = ["kind=dreambenchplus", f"source={tree.root}", f"out={tmp_path}/out", "--json"]
    assert call(monkeypatch, *words, "methods=[emu2,dreambooth_sd]") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["generations"] == {"samples": 5, "shards": 1, "without_mask": 0}
    assert document["missing"] == {
        "methods that are not in samples/": {"n": 1, "first": ["dreambooth_sd"]},
        "images that cannot be read, left out": {
            "n": 1,
            "first": [f"{tree.image('emu2', tree.concepts[0], 0)}: image: 0 bytes"],
        },
    }
    assert "1 methods that are not in samples/: dreambooth_sd" in caplog.messages
    assert call(monkeypatch, *words, "overwrite=true", "methods=[emu3]") == 1
    assert "jobs.pack: methods=emu3: neither" in capsys.readouterr().err


def test_a_terminal_has_a_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    tree = dreambenchplus_tree(tmp_path / "data", painted_shots((32, 32)))
    assert call(
        monkeypatch, "kind=dreambenchplus", f"source={tree.root}", f"out={tmp_path}/out"
    ) == 0  # fmt: skip
    shown = capsys.readouterr().err
    assert "packing" in shown
    assert "15/15" in shown


def test_samples_that_can_neither_be_scored_nor_segmented_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pq.write_table(pa.table({"image": [png(painted((8, 8), i)[0]) for i in range(3)]}),
                   tmp_path / "a.parquet")  # fmt: skip
    values = {"model": "m", "concept": "c", "prompt": "p"}
    source, out = str(tmp_path / "a.parquet"), str(tmp_path / "out")
    pack(PackConfig(kind="hf", source=source, out=out, values=values))
    assert "3 of 3 samples have no mask" in caplog.text
    assert "3 of them have no `subject` either, which jobs.segment looks for" in caplog.text
