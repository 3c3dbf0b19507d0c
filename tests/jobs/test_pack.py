"""Shards from folders."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jobs.pipeline.errors import CallError
from jobs.pipeline.packing import PackConfig, pack
from jobs.pipeline.shards.reading import read_samples
from tests.pictures import painted


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images with masks, one of them not a PNG."""
    for i in range(5):
        image, mask = painted((40, 30), i)
        image.save(tmp_path / f"{i}.v1.jpg")
        Image.fromarray(mask).save(tmp_path / f"{i}.mask.{'bmp' if i == 4 else 'png'}")
    return tmp_path


def row(i: int, **fields: Any) -> dict[str, Any]:
    return {
        "image": f"{i}.v1.jpg",
        "mask": f"{i}.mask.{'bmp' if i == 4 else 'png'}",
        "model": "m",
        "concept": "cat",
        "prompt": 'a "cat", on\na mat',
        "subject": "cat",
        "prompt_id": "007",
        "seed": i,
        **fields,
    }


def write_manifest(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        import csv

        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return path


def packed(folder: Path, rows: list[dict[str, Any]], kind: str = "csv", **settings: Any) -> Path:
    manifest = write_manifest(folder / f"manifest.{kind}", rows)
    pack(PackConfig(str(manifest), str(folder / "out"), **settings))
    return folder / "out"


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_every_kind_of_manifest_makes_the_same_samples(folder: Path, kind: str) -> None:
    rows = [row(i, role="generation", lora="x") for i in range(4)] + [row(4, role="reference")]
    rows[4]["lora"] = None
    out = packed(folder, rows, kind, shard_size=3)
    assert sorted(p.name for p in out.iterdir()) == [
        "generations-000000.tar",
        "generations-000001.tar",
        "references-000000.tar",
    ]
    samples = [s for path in sorted(out.iterdir()) for s in read_samples(path.open("rb"), 10**8)]
    assert [s.key for s in samples] == [f"{i}_v1" for i in range(5)]
    for i, sample in enumerate(samples):
        assert sample.members["jpg"] == (folder / f"{i}.v1.jpg").read_bytes()
        document = json.loads(sample.members["json"])
        assert document["seed"] == i
        assert document["prompt_id"] == "007"
        assert document["prompt"] == 'a "cat", on\na mat'
        assert document.get("lora") == ("x" if i < 4 else None)
        assert not {"image", "mask", "role", "key"} & set(document)
    assert samples[0].members["mask.png"] == (folder / "0.mask.png").read_bytes()
    assert samples[4].members["mask.png"].startswith(b"\x89PNG")


def test_the_same_images_make_the_same_bytes(folder: Path) -> None:
    rows = [row(i) for i in range(4)]
    first = (packed(folder, rows) / "generations-000000.tar").read_bytes()
    again = (packed(folder, rows, overwrite=True) / "generations-000000.tar").read_bytes()
    assert first == again


def test_references_and_own_keys_are_kept(folder: Path) -> None:
    out = packed(folder, [row(0, key="a/b.c", references="x;y")])
    with tarfile.open(out / "generations-000000.tar") as tar:
        assert tar.getnames() == ["a/b_c.jpg", "a/b_c.json", "a/b_c.mask.png"]
        content = tar.extractfile("a/b_c.json")
        assert content is not None
        assert json.load(content)["references"] == ["x", "y"]


def test_a_key_longer_than_old_tar_allows_survives(folder: Path) -> None:
    key = "/".join(["prompt_of_many_words"] * 15) + "/Ünïcödé"
    out = packed(folder, [row(0, key=key)])
    with (out / "generations-000000.tar").open("rb") as stream:
        assert [s.key for s in read_samples(stream, 10**8)] == [key]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(0, image="none.jpg")], r"row 1: image: no such file: .*none.jpg"),
        ([row(0), row(1, mask=None)], "row 2: mask is missing, which a generation needs"),
        ([row(0, model="")], "row 1: model is missing"),
        ([row(0, role="judge")], "row 1: role is 'judge', not generation or reference"),
        ([row(0, seed="x")], "row 1: seed is 'x', not an integer"),
        ([row(0), row(0)], "row 2: key '0_v1' comes twice; a column `key`"),
        ([row(0, image="0.mask.png"), row(4, image="4.mask.bmp")], "4.mask.bmp is not one of jpg"),
    ],
)
def test_a_wrong_row_is_named_before_anything_is_written(
    folder: Path, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(CallError, match=message):
        packed(folder, rows)
    assert not (folder / "out").exists()


def test_shards_that_are_there_are_not_overwritten_unasked(folder: Path) -> None:
    out = packed(folder, [row(i) for i in range(4)], shard_size=1)
    with pytest.raises(CallError, match="holds shards; overwrite=true"):
        packed(folder, [row(0)])
    packed(folder, [row(0)], overwrite=True)
    assert len(list(out.iterdir())) == 1


@pytest.mark.parametrize("name", ["none.csv", "manifest.xlsx", "broken.jsonl", "broken.parquet"])
def test_a_manifest_that_cannot_be_read_is_named(folder: Path, name: str) -> None:
    (folder / "broken.jsonl").write_text("{")
    (folder / "broken.parquet").write_text("{")
    with pytest.raises(CallError, match=f"manifest=.*{name}: "):
        pack(PackConfig(str(folder / name), str(folder / "out")))
