"""Images with masks in a folder, and manifests of them, for tests of packing."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from jobs.pipeline.packing import PackConfig, Packed, pack
from jobs.pipeline.shards.members import RawSample
from jobs.pipeline.shards.reading import read_samples
from tests.pictures import painted

Row = dict[str, Any]


def write_images(folder: Path) -> Path:
    """Five images with masks, one of them not a PNG."""
    for i in range(5):
        image, mask = painted((40, 30), i)
        image.save(folder / f"{i}.v1.jpg")
        Image.fromarray(mask).save(folder / f"{i}.mask.{'bmp' if i == 4 else 'png'}")
    return folder


def row(i: int, **fields: Any) -> Row:
    """The row of an image; `fields` instead of its own, or beside them."""
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


def write_manifest(path: Path, rows: list[Row]) -> Path:
    """A table of these rows, of the kind that its suffix says."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".parquet":
        full = [{name: row.get(name) for name in columns} for row in rows]
        pq.write_table(pa.Table.from_pylist(full), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
    return path


def packed(folder: Path, rows: list[Row], kind: str = "csv", **settings: Any) -> Path:
    """Pack a manifest of these rows into `folder/out`."""
    manifest = write_manifest(folder / f"manifest.{kind}", rows)
    pack_manifest(manifest, **settings)
    return folder / "out"


def pack_manifest(manifest: Path, **settings: Any) -> Packed:
    """Pack it into `out` beside it."""
    return pack(
        PackConfig(**{"manifest": str(manifest), "out": str(manifest.parent / "out"), **settings})
    )


def samples_of(out: Path, shards: str = "*.tar") -> list[RawSample]:
    """The samples of the shards there, as a worker reads them."""
    samples: list[RawSample] = []
    for path in sorted(out.glob(shards)):
        with path.open("rb") as stream:
            samples += read_samples(stream, 10**8)
    return samples


def documents_of(out: Path) -> list[dict[str, Any]]:
    """What the samples' JSON says."""
    return [json.loads(sample.members["json"]) for sample in samples_of(out)]
