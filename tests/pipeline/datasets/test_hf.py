"""Tables with columns of images: Parquet, and what the library `datasets` loads."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jobs.pipeline import packing
from jobs.pipeline.datasets import hf
from jobs.pipeline.errors import CallError
from jobs.pipeline.packing import PackConfig, Packed, pack
from tests.manifests import documents_of, samples_of
from tests.pictures import painted
from tests.shards import png

EMBEDDED = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""A column of images as `datasets` writes it."""


def picture(number: int, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    painted((40, 30), number)[0].save(file, form)
    return file.getvalue()


def mask(number: int) -> bytes:
    return png(painted((40, 30), number)[1])


def rows(n: int, **fields: Any) -> list[dict[str, Any]]:
    return [
        {
            "image": {"bytes": picture(i), "path": f"{i}.jpg"},
            "mask": {"bytes": mask(i), "path": None},
            "model": "m",
            "concept": "cat",
            "prompt": f"a cat {i}",
            "subject": "cat",
            "seed": i,
            **fields,
        }
        for i in range(n)
    ]


def write(path: Path, table: list[dict[str, Any]], **types: pa.DataType) -> Path:
    """A Parquet file; columns called as images are such, or of the type given."""
    known = {"image": EMBEDDED, "mask": EMBEDDED, **types}
    arrays = {name: pa.array([row[name] for row in table], known.get(name)) for name in table[0]}
    pq.write_table(pa.table(arrays), path, row_group_size=2)
    return path


def packed(source: Path | str, out: Path, **settings: Any) -> Packed:
    return pack(PackConfig(kind="hf", source=str(source), out=str(out), **settings))


def test_a_row_becomes_a_sample_with_the_bytes_of_its_images(tmp_path: Path) -> None:
    table = rows(5, day=date(2026, 11, 1), tags=["a", "b"])
    table[1]["image"]["bytes"] = picture(1, "JPEG")
    table[2]["image"]["bytes"] = picture(2, "WEBP")
    done = packed(write(tmp_path / "a.parquet", table), tmp_path / "out", shard_size=2)
    assert not done.missing.documents()
    assert vars(done.written["generations"]) == {"samples": 5, "shards": 3, "without_mask": 0}
    samples = samples_of(tmp_path / "out")
    assert [sample.key for sample in samples] == [f"{i:08d}" for i in range(5)]
    for i, (sample, suffix) in enumerate(
        zip(samples, ("png", "jpg", "webp", "png", "png"), strict=True)
    ):
        assert sample.members[suffix] == table[i]["image"]["bytes"]
        assert sample.members["mask.png"] == table[i]["mask"]["bytes"]
        assert json.loads(sample.members["json"]) == {
            **{name: table[i][name] for name in ("model", "concept", "prompt", "subject", "seed")},
            "day": "2026-11-01",
            "tags": ["a", "b"],
        }


def test_columns_may_be_called_otherwise_and_values_be_one_for_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = [
        {
            "photo": picture(i),
            "cut_out": picture(i + 9),
            "caption": f"a dog {i}",
            "prompt": "not this",
            "id": 7 + i,
            "label": i,
            "Subject": "dog",
        }
        for i in range(3)
    ]
    write(tmp_path / "a.parquet", table)
    packed(
        tmp_path / "a.parquet",
        tmp_path / "out",
        image="photo",
        prompt="caption",
        key="id",
        concept="label",
        values={"model": "mine", "seed": "5"},
    )
    assert [sample.key for sample in samples_of(tmp_path / "out")] == ["7", "8", "9"]
    assert documents_of(tmp_path / "out") == [
        {"model": "mine", "seed": 5, "concept": str(i), "prompt": f"a dog {i}", "Subject": "dog"}
        for i in range(3)
    ]
    assert "left out: cut_out, prompt; columns of bytes, or called" in caplog.text
    assert "there is a column 'Subject' and no 'subject'; subject=Subject takes it" in caplog.text


def test_references_come_by_a_column_or_for_all_rows(tmp_path: Path) -> None:
    table = rows(4, role="generation")
    table[1]["role"] = table[3]["role"] = "reference"
    table[2]["references"] = ["00000001"]
    table = [{"references": None, **row} for row in table]
    done = packed(write(tmp_path / "a.parquet", table), tmp_path / "out")
    assert [written.samples for written in done.written.values()] == [2, 2]
    keys = [sample.key for sample in samples_of(tmp_path / "out", "references-*.tar")]
    assert keys == ["00000001", "00000003"]
    assert documents_of(tmp_path / "out")[1]["references"] == ["00000001"]
    other = [{"image": row["image"], "concept": "dog"} for row in rows(2)]
    write(tmp_path / "b.parquet", other)
    done = packed(tmp_path / "b.parquet", tmp_path / "b", values={"role": "reference"})
    assert [written.samples for written in done.written.values()] == [0, 2]


def test_files_are_read_one_after_another_by_a_pattern(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"train-{number}.parquet", rows(2, prompt=f"of {number}"))
    packed(tmp_path / "train-*.parquet", tmp_path / "out")
    told = [document["prompt"] for document in documents_of(tmp_path / "out")]
    assert told == [f"of {number}" for number in range(3) for _ in range(2)]
    write(tmp_path / "train-9.parquet", [{**row, "model": "x"} for row in rows(1)])
    pq.write_table(pa.table({"image": [picture(0)]}), tmp_path / "train-9.parquet")
    with pytest.raises(CallError, match=r"train-9\.parquet: has no column mask, which .*train-0"):
        packed(tmp_path / "train-*.parquet", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_url_is_read_as_a_path_is(tmp_path: Path) -> None:
    storage = fsspec.filesystem("memory")
    for number in range(2):
        local = write(tmp_path / "a.parquet", rows(3, prompt=f"of {number}"))
        storage.pipe_file(f"/tables/{number}.parquet", local.read_bytes())
    try:
        packed("memory://tables/{0..1}.parquet", tmp_path / "out")
        storage.pipe_file("/tables/1.parquet", local.read_bytes()[:-900])
        with pytest.raises(CallError, match=r"tables/1\.parquet: not readable as Parquet"):
            packed("memory://tables/*.parquet", tmp_path / "other")
    finally:
        storage.rm("/tables", recursive=True)
    told = [document["prompt"] for document in documents_of(tmp_path / "out")]
    assert told == ["of 0"] * 3 + ["of 1"] * 3


def test_rows_that_cannot_be_packed_are_counted_by_cause(tmp_path: Path) -> None:
    table = rows(9)
    table[0]["image"] = None
    table[1]["image"] = {"bytes": None, "path": "/etc/passwd"}
    table[2]["image"] = {"bytes": b"GIF89a", "path": "a.gif"}
    table[3]["image"] = {"bytes": picture(3)[:-300], "path": None}
    table[4]["prompt"] = None
    table[5]["model"] = " "
    table[6]["mask"] = {"bytes": b"x", "path": None}
    table[7]["mask"] = None
    done = packed(write(tmp_path / "a.parquet", table), tmp_path / "out")
    assert {cause: lack["n"] for cause, lack in done.missing.documents().items()} == {
        hf.NO_IMAGE: 2,
        packing.UNFIT: 3,
        packing.UNREADABLE_IMAGE: 1,
        packing.UNREADABLE_MASK: 1,
    }
    first = done.missing.documents()[packing.UNFIT]["first"]
    assert first[1] == f"source={tmp_path}/a.parquet: row 5: prompt is missing"
    keys = [sample.key for sample in samples_of(tmp_path / "out")]
    assert keys == ["00000006", "00000007", "00000008"]
    assert done.written["generations"].without_mask == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"source": "none.parquet"}, "source={folder}/none.parquet: no such file"),
        ({"source": "no-*.parquet"}, "source={folder}/no-*.parquet: matches no file"),
        ({"source": "bad.parquet"}, "source={folder}/bad.parquet: not readable as Parquet: Arrow"),
        ({"image": "photo"}, "image=photo: no such column; there are: image, mask, model, concept"),
        ({"image": "prompt"}, "image=prompt: a column of string, not of images"),
        ({"mask": "seed"}, "mask=seed: a column of int64, not of images"),
        ({"model": "model", "values": {"model": "x"}}, "model=model: and values.model: one of"),
        ({"values": {"key": "x"}}, "values.key=: differs from row to row; key= names its column"),
        ({"values": {"role": "judge"}}, "values.role=judge: expected generation or reference"),
        ({"source": "bare.parquet"}, "model= is required: its column, or values.model= for all"),
        ({"key": "concept"}, "row 2: key 'cat' comes twice"),
        ({"source": "empty.parquet"}, "kind=hf: there are no samples in it: it is empty"),
        ({"methods": ["x"]}, "methods=: is no setting of kind=hf"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_one_line(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    write(tmp_path / "a.parquet", rows(2))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 is not enough")
    pq.write_table(pa.table({"image": pa.array([picture(0)])}), tmp_path / "bare.parquet")
    pq.write_table(pq.read_table(tmp_path / "a.parquet").slice(0, 0), tmp_path / "empty.parquet")
    source = tmp_path / settings.get("source", "a.parquet")
    with pytest.raises(CallError) as error:
        packed(source, tmp_path / "out", **{n: v for n, v in settings.items() if n != "source"})
    assert said.format(folder=tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def image_folder(folder: Path) -> Path:
    """A data set as `datasets` reads it from files: images, and a table of what they are."""
    (folder / "train").mkdir(parents=True)
    described = []
    for row in rows(3):
        name = row["image"]["path"]
        (folder / "train" / name).write_bytes(row["image"]["bytes"])
        own = {key: value for key, value in row.items() if key not in ("image", "mask")}
        described.append(json.dumps({"file_name": name, **own}) + "\n")
    (folder / "train" / "metadata.jsonl").write_text("".join(described))
    return folder


def test_what_the_library_loads_is_packed_with_the_bytes_of_its_files(tmp_path: Path) -> None:
    source = image_folder(tmp_path / "data")
    done = packed(source, tmp_path / "out")
    assert vars(done.written["generations"]) == {"samples": 3, "shards": 1, "without_mask": 3}
    assert not done.missing.documents()
    for i, sample in enumerate(samples_of(tmp_path / "out")):
        assert sample.members["jpg"] == picture(i)
        assert json.loads(sample.members["json"])["prompt"] == f"a cat {i}"
    with pytest.raises(
        CallError, match=r"cannot be loaded by datasets .*split=test\): ValueError: "
    ):
        packed(source, tmp_path / "test", split="test")


def test_what_lies_beside_a_data_set_and_is_none_of_it_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(picture(7))
    source = tmp_path / "data"
    source.mkdir()
    (source / "own.png").write_bytes(picture(0))
    table = rows(3)
    beside = (f"{source}/own.png", f"{tmp_path}/private.png", f"{source}/../private.png")
    for number, (row, path) in enumerate(zip(table, beside, strict=True)):
        row["image"] = {"bytes": None, "path": path}
        write(source / f"train-{number}.parquet", [row])
    done = packed(source, tmp_path / "out")
    assert done.missing.documents()[hf.NO_IMAGE]["n"] == 2
    [sample] = samples_of(tmp_path / "out")
    assert sample.members["png"] == picture(0)


def test_without_the_library_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(CallError, match=r"source=owner/name: is no \*\.parquet, .*masc-eval\[hf\]"):
        packed("owner/name", tmp_path / "out")


def test_16_bits_and_orientations_are_as_from_files(tmp_path: Path) -> None:
    grey = np.asarray(painted((40, 30), 0)[0].convert("L")).astype(np.uint16) * 257
    table = rows(1)
    table[0]["image"]["bytes"] = png(Image.fromarray(grey))
    done = packed(write(tmp_path / "a.parquet", table), tmp_path / "out")
    assert [(note.name, n) for note, n in done.notes.items()] == [("DEEP_IMAGE", 1)]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    """A process of its own, whose peak of memory Linux tells. A row group is what has to be."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    image = png(Image.fromarray(pixels))
    code = (
        "import re, sys\n"
        "from jobs.pipeline.packing import PackConfig, pack\n"
        "values = {name: 'x' for name in ('model', 'concept', 'prompt')}\n"
        "pack(PackConfig(kind='hf', source=sys.argv[1], out=sys.argv[2], values=values))\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    peaks = []
    for n in (100, 500):
        source = tmp_path / f"{n}.parquet"
        table = pa.table({"image": [image] * n})
        pq.write_table(table, source, use_dictionary=False, row_group_size=20)
        words = [sys.executable, "-c", code, str(source), str(tmp_path / f"out-{n}")]
        peaks.append(int(subprocess.run(words, capture_output=True, text=True, check=True).stdout))
    assert 1024 * (peaks[1] - peaks[0]) < 400 * len(image) / 4
