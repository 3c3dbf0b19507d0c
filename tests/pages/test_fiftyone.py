"""A run as a FiftyOne data set: its documents as its importer reads them, its files as they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.pages.fiftyone import export_fiftyone
from jobs.pages.gallery import GalleryConfig, OpenedRun
from jobs.pipeline.errors import CallError
from jobs.pipeline.run.stale import open_counted
from tests.commands import rows_of
from tests.pages.scored import score, write_shards
from tests.pictures import painted

pytestmark = pytest.mark.slow

OF_A_SAMPLE = {"_id", "_rand", "_media_type", "filepath", "tags", "metadata", "group"}
"""What FiftyOne itself keeps of one, beside the fields of its schema."""


def opened(run: Path) -> list[OpenedRun]:
    return [OpenedRun(str(run), open_counted([str(run)]))]


@pytest.fixture(scope="module")
def exported(scored: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fiftyone")
    assert export_fiftyone(opened(scored / "run"), str(out), GalleryConfig()) == 8
    return out


@pytest.fixture(scope="module")
def samples(exported: Path) -> list[dict[str, Any]]:
    return json.loads((exported / "samples.json").read_text())["samples"]


@pytest.fixture(scope="module")
def described(exported: Path) -> dict[str, Any]:
    return json.loads((exported / "metadata.json").read_text())


def of_slice(samples: list[dict[str, Any]], name: str) -> dict[str, dict[str, Any]]:
    """By the id of their group, the samples of a slice."""
    return {s["group"]["_id"]["$oid"]: s for s in samples if s["group"]["name"] == name}


def test_a_group_is_a_generation_and_its_references(
    samples: list[dict[str, Any]], described: dict[str, Any], scored: Path
) -> None:
    slices = ["generation", "reference_1", "reference_2"]
    assert described["group_media_types"] == dict.fromkeys(slices, "image")
    assert (described["media_type"], described["group_field"]) == ("group", "group")
    assert described["default_group_slice"] == "generation"
    groups = [of_slice(samples, name) for name in slices]
    assert len(samples) == 24
    assert groups[0].keys() == groups[1].keys() == groups[2].keys()
    rows = {row["key"]: row for row in rows_of(scored / "run")}
    for group, generation in groups[0].items():
        row = rows[generation["key"]]
        references = [each[group] for each in groups[1:]]
        assert [each["key"] for each in references] == row["references"]
        assert [each["cp"] for each in references] == row["cp_per_reference"]
        for name in ("cp", "pf", "fg_fraction"):
            assert generation[name] == row[name]
        for name in ("model", "concept", "prompt", "text", "seed"):
            assert generation[name] == row[name]
        assert generation["cp_erode_6"] == row["cp@erode:6"]
        assert generation["cp_leak"] == row["cp.leak"]
    assert described["info"]["columns"]["cp_erode_6"] == "cp@erode:6"


def test_the_schema_names_what_samples_have(
    samples: list[dict[str, Any]], described: dict[str, Any]
) -> None:
    fields = {field["name"]: field for field in described["sample_fields"]}
    kinds = {name: field["ftype"].rpartition(".")[2] for name, field in fields.items()}
    assert kinds["filepath"] == "StringField"
    assert kinds["cp"] == kinds["pf"] == "FloatField"
    assert kinds["seed"] == "IntField"
    assert fields["mask"]["embedded_doc_type"] == "fiftyone.core.labels.Segmentation"
    assert fields["pf_attention"]["embedded_doc_type"] == "fiftyone.core.labels.Heatmap"
    assert all(name.isidentifier() and not name.startswith("_") for name in fields)
    # What the importer sets itself is in no sample; all else is in each.
    in_samples = fields.keys() - {"id", "created_at", "last_modified_at"}
    for sample in samples:
        assert sample.keys() - OF_A_SAMPLE == in_samples - OF_A_SAMPLE
        assert len(sample["_id"]["$oid"]) == 24
        assert 0 <= sample["_rand"] < 1
    ids = [sample["_id"]["$oid"] for sample in samples]
    assert len(set(ids)) == len(ids)


def test_every_file_is_there_and_what_it_is_said_to_be(
    exported: Path, samples: list[dict[str, Any]], scored: Path
) -> None:
    rows = {row["key"]: row for row in rows_of(scored / "run")}
    named = set()
    for sample in samples:
        paths = [sample["filepath"], sample["mask"]["mask_path"]]
        label = sample["pf_attention"] or sample["cp_similarity"]
        paths.append(label["map_path"])
        named |= set(paths)
        sizes = {Image.open(exported / path).size for path in paths}
        assert len(sizes) == 1
        field = "pf_attention" if sample["group"]["name"] == "generation" else "cp_similarity"
        assert paths[1].startswith("fields/mask/")
        assert paths[2].startswith(f"fields/{field}/")
    written = {str(p.relative_to(exported)) for p in exported.rglob("*") if p.is_file()}
    assert written == named | {"samples.json", "metadata.json"}
    # One of them to the pixel.
    [cat] = [s for s in samples if s["key"] == "alpha/cat-0"]
    image, mask = painted((128, 96), 100)
    assert np.array_equal(np.asarray(Image.open(exported / cat["filepath"])), np.asarray(image))
    assert np.array_equal(np.asarray(Image.open(exported / cat["mask"]["mask_path"])), mask)
    heat = np.asarray(Image.open(exported / cat["pf_attention"]["map_path"]), float) / 255
    row = rows["alpha/cat-0"]
    at = (np.arange(row["grid_h"]) + 0.5) * 96 / row["grid_h"]
    across = (np.arange(row["grid_w"]) + 0.5) * 128 / row["grid_w"]
    patches = heat[at.astype(int)][:, across.astype(int)] * cat["pf_attention"]["largest"]
    # In times of an even share, so they come to as many as there are visible patches.
    assert patches.sum() == pytest.approx(row["n_bg_patches"], rel=0.02)


def test_a_second_export_is_refused_and_another_is_equal(
    exported: Path, scored: Path, tmp_path: Path
) -> None:
    with pytest.raises(CallError, match="holds a data set already"):
        export_fiftyone(opened(scored / "run"), str(exported))
    out = tmp_path / "again"
    export_fiftyone(opened(scored / "run"), str(out), GalleryConfig())
    for name in ("samples.json", "metadata.json"):
        assert (out / name).read_bytes() == (exported / name).read_bytes()


def test_without_an_encoder_there_are_no_maps(scored: Path, tmp_path: Path) -> None:
    export_fiftyone(opened(scored / "run"), str(tmp_path / "out"), GalleryConfig(2, "off"))
    described = json.loads((tmp_path / "out/metadata.json").read_text())
    assert "pf_attention" not in {field["name"] for field in described["sample_fields"]}
    assert not (tmp_path / "out/fields/pf_attention").exists()


def test_where_no_image_is_left_nothing_is_written(tmp_path: Path) -> None:
    folder = write_shards(tmp_path)
    score(folder, folder / "run")
    for path in folder.glob("generations-*.tar"):
        path.unlink()
    with pytest.raises(CallError, match="none of the chosen samples has its image"):
        export_fiftyone(opened(folder / "run"), str(tmp_path / "out"), GalleryConfig())
    assert not (tmp_path / "out/metadata.json").exists()
