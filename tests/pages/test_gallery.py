"""The gallery of a run that was scored: pictures, maps, and what is said where they lack."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import s3fs
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from s3fs import S3FileSystem

from jobs.pages.gallery import GalleryConfig, OpenedRun, build_gallery
from jobs.pages.gallery_items import Gallery, GalleryItem
from jobs.pages.gallery_pictures import outline, thumbnail
from jobs.pipeline.errors import CallError
from jobs.pipeline.run.stale import open_counted
from masc_core import MaSC
from masc_core.masks import mask_weights
from tests.commands import rows_of
from tests.faults.s3 import S3Server, client_environment, environment, s3_server, upload
from tests.pages.scored import score, write_shards
from tests.pictures import painted

pytestmark = pytest.mark.slow

ALL = 8
"""Samples of the run."""


def opened(run: str | Path) -> OpenedRun:
    return OpenedRun(str(run), open_counted([str(run)]))


def gallery_of(run: str | Path, baseline: str | Path | None = None, **settings: Any) -> Gallery:
    held = None if baseline is None else opened(baseline)
    return build_gallery([opened(run)], held, GalleryConfig(**settings))


def rendered(gallery: Gallery) -> str:
    environment = Environment(
        loader=PackageLoader("jobs.pages", "templates"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("gallery.html.j2").render(gallery=gallery)


def image_of(uri: str) -> Image.Image:
    kind, _, content = uri.partition(";base64,")
    assert kind in ("data:image/webp", "data:image/png")
    return Image.open(io.BytesIO(base64.b64decode(content)))


def item_of(gallery: Gallery, key: str) -> GalleryItem:
    [item] = [each for each in gallery.items if each.figures.key == key]
    return item


@pytest.fixture(scope="module")
def gallery(scored: Path) -> Gallery:
    return gallery_of(scored / "run")


def test_every_sample_of_a_small_run_is_shown_as_its_row_has_it(
    scored: Path, gallery: Gallery
) -> None:
    rows = {row["key"]: row for row in rows_of(scored / "run")}
    assert {item.figures.key for item in gallery.items} == set(rows)
    for item in gallery.items:
        row, scores = rows[item.figures.key], dict(item.figures.scores)
        assert scores["CP"] == f"{row['cp']:.4f}"
        assert scores["cp@erode:6"] == f"{row['cp@erode:6']:.4f}"
        assert [each.cp for each in item.references] == [
            f"{x:.4f}" for x in row["cp_per_reference"]
        ]
        assert [each.key for each in item.references] == row["references"]
        parts = item.figures.prompt
        assert "".join(part.text for part in parts) == row["prompt"]
        left = " ".join("".join(p.text for p in parts if not p.is_stripped).split())
        assert left == row["text"]
        assert item.anchor == f"sample={row['key']}"
        assert not item.notes
    assert any("erode:6" in reason for item in gallery.items for reason in item.reasons)


def test_a_thumbnail_is_the_samples_image_and_small(gallery: Gallery) -> None:
    item = item_of(gallery, "beta/dog-1")
    assert item.generation is not None
    assert len(item.generation.uri) < 25_000 * 4 / 3
    shown = np.asarray(image_of(item.generation.uri).convert("RGB"), float)
    original = np.asarray(painted((128, 96), 100 + 10 + 40 + 1)[0], float)
    assert shown.shape == original.shape
    assert np.abs(shown - original).mean() < 6
    assert (item.generation.width, item.generation.height) == (128, 96)


def test_maps_are_of_the_patches_that_the_scores_rest_on(scored: Path, gallery: Gallery) -> None:
    masc = MaSC.from_pretrained("demo")
    item, row = item_of(gallery, "alpha/cat-0"), None
    [row] = [each for each in rows_of(scored / "run") if each["key"] == "alpha/cat-0"]
    for i, reference in enumerate(item.references):
        overlay = reference.picture.overlay
        assert overlay is not None
        photo, mask = painted((96, 96), i)
        _, grid = masc.encoder.prepare_image(photo)
        assert (overlay.rows, overlay.columns) == grid
        values = np.array(overlay.values.split(), float) / 1000
        counted = mask_weights(mask, grid).numpy() > 0.5
        assert values[counted].mean() == pytest.approx(row["cp_per_reference"][i], abs=5e-4)
        drawn = np.asarray(image_of(overlay.uri))
        assert (drawn[..., 3].reshape(-1) > 0).tolist() == counted.tolist()
        matches = np.array(reference.matches.split(), int)
        assert len(matches) == len(values)
        assert matches.max() < row["n_patches"]
    own = item.generation.overlay if item.generation else None
    assert own is not None
    times = np.array(own.values.split(), float) / 1000
    assert len(times) == row["n_patches"]
    assert times.sum() == pytest.approx(row["n_bg_patches"], abs=0.05)
    assert (times == 0).sum() == row["n_fg_patches"]


def test_the_outline_is_the_edge_of_the_mask(gallery: Gallery) -> None:
    item = item_of(gallery, "alpha/cat-0")
    assert item.generation is not None
    inside = painted((128, 96), 100)[1] > 0
    steps = re.findall(r"M(\d+) (\d+)([hv])(\d+)", item.generation.outline)
    across = sum(int(n) for _, _, way, n in steps if way == "h")
    down = sum(int(n) for _, _, way, n in steps if way == "v")
    assert across == (inside[1:] != inside[:-1]).sum()
    assert down == (inside[:, 1:] != inside[:, :-1]).sum()
    for x, y, way, n in steps:
        for i in range(int(n)):
            if way == "h":
                column, row = int(x) + i, int(y)
                assert inside[row, column] != inside[row - 1, column]
            else:
                column, row = int(x), int(y) + i
                assert inside[row, column] != inside[row, column - 1]


def test_an_outline_of_speckles_is_coarser_and_short() -> None:
    speckles = np.random.default_rng(0).integers(0, 2, (288, 288)).astype(np.uint8) * 255
    assert 0 < len(outline(speckles, (288, 288))) <= 6000
    assert outline(np.full((9, 9), 255, np.uint8), (9, 9)) == ""


def test_a_thumbnail_of_noise_keeps_to_its_bytes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 600, 3)).astype(np.uint8)
    for most in (25_000, 3_000):
        content, (width, height) = thumbnail(Image.fromarray(noise), most)
        assert len(content) <= most
        assert width / height == pytest.approx(2 / 3, abs=0.02)


def test_maps_that_would_make_the_page_too_large_are_left_out(
    scored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.pages.gallery_showing.ALL_MAPS", 12_000)
    found = gallery_of(scored / "run")
    have = [bool(item.generation and item.generation.overlay) for item in found.items]
    assert have[0]
    assert not have[-1]
    for item, has_map in zip(found.items, have, strict=True):
        assert all(bool(each.picture.overlay) == has_map for each in item.references)
        assert any("page would be too large" in note for note in item.notes) != has_map


def test_without_maps_no_encoder_is_asked(scored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MaSC, "from_pretrained", lambda *args, **kwargs: 1 / 0)
    off = gallery_of(scored / "run", heatmaps="off", gallery=3)
    assert len(off.items) == 3
    assert all(item.generation and item.generation.overlay is None for item in off.items)
    assert gallery_of(scored / "run", gallery=0) == Gallery([])


def test_an_encoder_that_is_not_there_is_a_note_or_a_refusal(scored: Path, tmp_path: Path) -> None:
    run = shutil.copytree(scored / "run", tmp_path / "run")
    described = json.loads((run / "run.json").read_text())
    described["config"]["encoder"]["name_or_path"] = "/nowhere/at/all"
    (run / "run.json").write_text(json.dumps(described))
    found = gallery_of(run, gallery=2)
    assert any("/nowhere/at/all: no such directory" in note for note in found.notes)
    assert all(item.generation and item.generation.overlay is None for item in found.items)
    with pytest.raises(CallError, match="/nowhere/at/all"):
        gallery_of(run, gallery=2, heatmaps="on")


def test_another_encoder_than_the_runs_draws_nothing(scored: Path, tmp_path: Path) -> None:
    run = shutil.copytree(scored / "run", tmp_path / "run")
    described = json.loads((run / "run.json").read_text())
    described["fingerprint"]["masc"]["encoder.weights"] = "sha256:another"
    (run / "run.json").write_text(json.dumps(described))
    found = gallery_of(run, gallery=2)
    assert any("encoder.weights" in note for note in found.notes)
    assert all(item.generation and item.generation.overlay is None for item in found.items)


def test_shards_that_are_gone_or_changed_leave_figures_and_a_note(tmp_path: Path) -> None:
    folder = write_shards(tmp_path)
    score(folder, folder / "run")
    before = gallery_of(folder / "run", heatmaps="off")
    (folder / "generations-alpha.tar").unlink()
    with (folder / "generations-beta.tar").open("ab") as file:
        file.write(bytes(1024))
    after = gallery_of(folder / "run", heatmaps="off")
    assert [i.figures for i in after.items] == [i.figures for i in before.items]
    for item in after.items:
        assert item.generation is None
        word = "gone" if item.figures.model == "alpha" else "changed since it was scored"
        assert any(word in note for note in item.notes)
        assert len(item.references) == 2
    (folder / "references-0.tar").unlink()
    [item, *_] = gallery_of(folder / "run", heatmaps="off").items
    assert not item.references
    assert sum("references-0.tar: the shard is gone" in note for note in item.notes) == 2
    text = rendered(after)
    assert "the shard is gone" in text
    assert item.figures.command in text.replace("&#39;", "'")


def test_a_partner_in_the_baseline_stands_beside_its_sample(scored: Path, tmp_path: Path) -> None:
    folder = write_shards(tmp_path, offset=500)
    shutil.copy(scored / "references-0.tar", folder)
    score(folder, folder / "run")
    found = gallery_of(scored / "run", folder / "run", heatmaps="off")
    old = {row["key"]: row for row in rows_of(folder / "run")}
    assert len(found.items) == ALL
    for item in found.items:
        assert item.partner is not None
        assert item.partner.figures.key == item.figures.key
        row = old[item.figures.key]
        assert item.partner.figures.scores[0] == ("CP", f"{row['cp']:.4f}")
        assert item.partner.picture is not None
        assert item.generation is not None
        assert item.partner.picture.uri != item.generation.uri
    assert any("changed" in item.kinds for item in found.items)
    of_beta = gallery_of(
        scored / "run", folder / "run", heatmaps="off", gallery=8, baseline_model="beta"
    )
    for item in of_beta.items:
        assert item.partner is not None
        assert item.partner.figures.key == "beta/" + item.figures.key.partition("/")[2]
    none = gallery_of(
        scored / "run", folder / "run", heatmaps="off", gallery=2, baseline_model="gamma"
    )
    assert any("baseline_model=gamma" in note for note in none.notes)
    assert all(item.partner is None for item in none.items)


def test_full_images_are_files_beside_the_page(scored: Path) -> None:
    found = gallery_of(scored / "run", heatmaps="off", assets="images")
    paths = [each.full for item in found.items for each in [item.generation] if each]
    paths += [r.picture.full for item in found.items for r in item.references]
    assert set(paths) == set(found.files)
    # 8 generations, and 4 photos that all of them share.
    assert len(found.files) == 12
    assert all(re.fullmatch(r"images/[0-9a-f]{16}\.webp", path) for path in found.files)
    sizes = {Image.open(io.BytesIO(content)).size for content in found.files.values()}
    assert sizes == {(128, 96), (96, 96)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gallery": -1}, "gallery=-1"),
        ({"gallery": 201}, "gallery=201"),
        ({"heatmaps": "yes"}, "heatmaps=yes"),
        ({"assets": "../elsewhere"}, "assets=../elsewhere"),
        ({"assets": ".."}, "assets=.."),
    ],
)
def test_what_cannot_be_meant_is_refused(
    scored: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(CallError, match=re.escape(message)):
        gallery_of(scored / "run", **settings)


class Elements(HTMLParser):
    """Names and attributes of what a browser makes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_what_strangers_wrote_is_text_and_nothing_else(scored: Path, tmp_path: Path) -> None:
    run = shutil.copytree(scored / "run", tmp_path / "run")
    evil = "<img src=x onerror=alert(1)>\"'</script>"
    for part in (run / "scores").glob("*.parquet"):
        table = pq.read_table(part)
        for name in ("model", "concept", "prompt"):
            place = table.schema.get_field_index(name)
            values = [evil + value for value in table[name].to_pylist()]
            table = table.set_column(place, table.schema.field(name), [values])
        pq.write_table(table, part)
    page = Elements()
    page.feed(rendered(gallery_of(run, heatmaps="off")))
    tags = {tag for tag, _ in page.found}
    assert "img" not in tags
    assert "script" not in tags
    names = {name for _, attributes in page.found for name in attributes}
    assert not {name for name in names if name.startswith("on") or name == "style"}
    assert any("<img src=x onerror=alert(1)>" in text for text in page.texts)
    addresses = [a["href"] or "" for _, a in page.found if "href" in a]
    assert all(each.startswith(("data:image/", "#")) for each in addresses)


def test_every_id_of_the_page_is_there_once_and_what_names_one_finds_it(gallery: Gallery) -> None:
    page = Elements()
    page.feed(rendered(gallery))
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(set(ids)) == len(ids)
    named = [a["href"] for _, a in page.found if (a.get("href") or "").startswith("#")]
    named += [f"#{a['aria-labelledby']}" for _, a in page.found if "aria-labelledby" in a]
    assert {(each or "")[1:] for each in named} <= set(ids)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server, environment(client_environment(server.url)):
        yield server


@pytest.mark.services
def test_from_object_storage_only_the_samples_bytes_are_read(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = server.filesystem()
    upload(fs, write_shards(tmp_path), "shards")
    run = score("s3://shards", "s3://shards/run")
    read: list[tuple[str, int]] = []
    cat, fetch = S3FileSystem._cat_file, s3fs.core._fetch_range

    async def counting_cat(self: Any, path: str, *args: Any, **kwargs: Any) -> bytes:
        content = await cat(self, path, *args, **kwargs)
        read.append((path, len(content)))
        return content

    def counting_fetch(fs: Any, bucket: str, key: str, *args: Any, **kwargs: Any) -> bytes:
        content = fetch(fs, bucket, key, *args, **kwargs)
        read.append((key, len(content)))
        return content

    monkeypatch.setattr(S3FileSystem, "_cat_file", counting_cat)
    monkeypatch.setattr(s3fs.core, "_fetch_range", counting_fetch)
    S3FileSystem.clear_instance_cache()  # those that there are have the methods of before
    found = gallery_of(run, gallery=3, heatmaps="off")
    assert all(item.generation and len(item.references) == 2 for item in found.items)
    of_shards = [(path, n) for path, n in read if path.endswith(".tar")]
    n_read = sum(n for _, n in of_shards)
    rows = {row["key"]: row["length"] for row in found_rows(run)}
    of_generations = sum(rows[item.figures.key] for item in found.items)
    assert sum(n in rows.values() for path, n in of_shards if "generations" in path) == 3
    assert n_read == found.bytes_read
    assert of_generations < found.bytes_chosen
    assert n_read <= 3 * found.bytes_chosen
    assert n_read < sum(fs.info(path)["size"] for path in fs.glob("shards/*.tar"))


def found_rows(run: str) -> list[dict[str, Any]]:
    return open_counted([run]).table().to_pylist()
