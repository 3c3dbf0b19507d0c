"""Every kind of image and mask file: scored as the authors' package scores the same bytes."""

from __future__ import annotations

import io
import json
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.pictures import painted
from tests.pipeline.scoring.small_scorer import MAX_NUM_PATCHES, SmallScorer, small_scorer
from tests.shards import Member, png

TOLERANCE = 1e-5
PROMPT = "a photo of a cat on a beach"


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def deep_png(image: Image.Image, color_type: int) -> bytes:
    """A PNG of 16 bits a channel; Pillow writes only grey ones."""
    values = np.asarray(image).astype(np.uint16) * 257 + 131
    rows = np.frombuffer(values.astype(">u2").tobytes(), np.uint8).reshape(image.height, -1)
    header = struct.pack(">IIBBBBB", image.width, image.height, 16, color_type, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    return exif


def half_transparent(image: Image.Image) -> Image.Image:
    alpha = Image.linear_gradient("L").resize(image.size)
    image = image.copy()
    image.putalpha(alpha)
    return image


RGB = painted((120, 90), 11)[0]
OTHER = painted((120, 90), 12)[0]
GREY = RGB.convert("L")
PALETTE = RGB.quantize(32)

IMAGES: dict[str, tuple[str, bytes]] = {
    "jpeg": ("jpg", encoded(RGB, "JPEG")),
    "progressive jpeg": ("jpeg", encoded(RGB, "JPEG", progressive=True)),
    "grey jpeg": ("jpg", encoded(GREY, "JPEG")),
    "cmyk jpeg": ("jpg", encoded(RGB.convert("CMYK"), "JPEG")),
    "jpeg with an orientation": ("jpg", encoded(RGB, "JPEG", exif=rotated())),
    "jpeg of two pictures": (
        "jpg",
        encoded(RGB, "MPO", save_all=True, append_images=[OTHER]),
    ),
    "1 bit": ("png", png(RGB.convert("1"))),
    "grey": ("png", png(GREY)),
    "grey with a transparent level": ("png", encoded(GREY, "PNG", transparency=100)),
    "grey and alpha": ("png", png(half_transparent(GREY))),
    "16-bit grey and alpha": ("png", deep_png(half_transparent(GREY), 4)),
    "16-bit rgb": ("png", deep_png(RGB, 2)),
    "16-bit rgba": ("png", deep_png(half_transparent(RGB), 6)),
    "palette": ("png", png(PALETTE)),
    "palette with a transparent colour": ("png", encoded(PALETTE, "PNG", transparency=3)),
    "palette with alphas": ("png", encoded(PALETTE, "PNG", transparency=bytes(range(0, 64, 2)))),
    "rgb with a transparent colour": ("png", encoded(RGB, "PNG", transparency=(9, 9, 9))),
    "rgba": ("png", png(half_transparent(RGB))),
    "animated png": ("png", encoded(RGB, "PNG", save_all=True, append_images=[OTHER])),
    "webp": ("webp", encoded(RGB, "WEBP")),
    "lossless webp with alpha": ("webp", encoded(half_transparent(RGB), "WEBP", lossless=True)),
    "animated webp": ("webp", encoded(RGB, "WEBP", save_all=True, append_images=[OTHER])),
    "one pixel": ("png", png(RGB.crop((0, 0, 1, 1)))),
    "20,000 wide": ("png", png(RGB.resize((20_000, 10)))),
    "20,000 high": ("png", png(RGB.resize((10, 20_000)))),
    "a jpeg called png": ("png", encoded(RGB, "JPEG")),
}

NO_IMAGES: dict[str, tuple[str, bytes, str]] = {
    "truncated jpeg": ("jpg", encoded(RGB, "JPEG")[:-400], "jpg: cannot be decoded: "),
    "truncated png": ("png", png(RGB)[:-400], "png: cannot be decoded: "),
    "truncated webp": ("webp", encoded(RGB, "WEBP")[:-400], "webp: cannot be decoded: "),
    "two bytes": ("jpg", b"\xff\xd8", "jpg: cannot identify image file"),
    "text": ("png", b"no image", "png: cannot identify image file"),
    "no bytes": ("webp", b"", "webp: 0 bytes"),
    "gif": ("png", encoded(PALETTE, "GIF"), "png: cannot identify image file"),
    "tiff": ("png", encoded(RGB, "TIFF"), "png: cannot identify image file"),
    "16-bit grey": (
        "png",
        png(np.asarray(GREY).astype(np.uint16) * 257 + 131),
        "png: grey in 16 bits, which would be clipped to 8; jobs.pack converts it",
    ),
}


def levels() -> np.ndarray:
    return np.tile(np.linspace(0, 255, 120).astype(np.uint8), (90, 1))


MASK = painted((120, 90), 11)[1]


def cut_out(colour: str) -> bytes:
    """One colour, and the mask in its alpha channel alone."""
    image = Image.new("RGB", (120, 90), colour)
    image.putalpha(Image.fromarray(MASK))
    return png(image)


MASKS: dict[str, bytes] = {
    "one pixel": png(np.full((1, 1), 255, np.uint8)),
    "grey levels": png(levels()),
    "zeros and ones": png(MASK // 255),
    "1 bit": png(Image.fromarray(MASK).convert("1")),
    "palette": png(Image.fromarray(MASK).convert("RGB").quantize(2)),
    "palette with a transparent colour": encoded(
        Image.fromarray(MASK).convert("RGB").quantize(2), "PNG", transparency=0
    ),
    "rgb": png(Image.merge("RGB", [Image.fromarray(levels())] * 3)),
    "rgba": png(half_transparent(Image.fromarray(MASK).convert("RGB"))),
    "grey and alpha": png(half_transparent(Image.fromarray(MASK))),
    "rgba, opaque": png(Image.fromarray(MASK).convert("RGBA")),
    "a white cut-out": cut_out("white"),
    "a black cut-out": cut_out("black"),
    "16-bit": png(MASK.astype(np.uint16) * 257),
    "16-bit, dim": png(MASK.astype(np.uint16)),
    "a jpeg": encoded(Image.fromarray(MASK), "JPEG"),
}

IN_ALPHA = ("rgba", "grey and alpha", "a white cut-out", "a black cut-out")
"""Masks whose alpha channel is the mask."""

NO_MASKS: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "mask.png: missing"),
    "text": (b"no mask", "mask.png: cannot identify image file"),
    "truncated": (png(MASK)[:-40], "mask.png: cannot be decoded: "),
    "no bytes": (b"", "mask.png: 0 bytes"),
    "16-bit grey levels": (
        png(levels().astype(np.uint16) * 257),
        "mask.png: grey levels in more than 8 bits, which would be clipped; jobs.pack converts it",
    ),
    "another aspect": (
        png(painted((90, 400), 5)[1]),
        "mask.png: 90x400 is not of the aspect of its image, 120x90",
    ),
    "an array": (b"\x93NUMPY\x01\x00", "mask.png: cannot identify image file"),
}


def members(
    key: str, image: Member, mask: bytes | None, references: list[str] | None = None
) -> list[Member]:
    fields = {"model": "m", "concept": "cat", "prompt": PROMPT, "subject": "cat"}
    of_mask = [] if mask is None else [(f"{key}.mask.png", mask)]
    return [
        (f"{key}.json", json.dumps({**fields, "references": references}).encode()),
        *of_mask,
        (f"{key}.{image[0]}", image[1]),
    ]


def mask_of_size(size: tuple[int, int]) -> np.ndarray:
    """The mask of an image of this (width, height)."""
    return np.asarray(Image.fromarray(MASK).resize(size, Image.Resampling.NEAREST))


def photo_of(masks: dict[str, bytes]) -> list[Member]:
    """References that differ in their mask."""
    photo = ("png", png(RGB))
    return [m for name, mask in masks.items() for m in members(f"photo, {name}", photo, mask)]


@pytest.fixture(scope="module")
def rows(
    naflex_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """The rows of all of the zoo, scored as one shard."""
    empty = {"empty": png(np.zeros((90, 120), np.uint8))}
    scorer: SmallScorer = small_scorer(
        naflex_checkpoint, tmp_path_factory.mktemp("zoo"), photo_of(MASKS | empty)
    )
    image = ("png", png(OTHER))
    shard = []
    for name, (suffix, content) in IMAGES.items():
        mask = png(mask_of_size(opened(content, "RGB").size))
        shard += members(name, (suffix, content), mask, ["photo, grey levels"])
    for name, (suffix, content, _) in NO_IMAGES.items():
        shard += members(name, (suffix, content), png(MASK))
    for name, own in MASKS.items():
        shard += members(f"mask, {name}", image, own, [f"photo, {name}"])
    for name, (nothing, _) in NO_MASKS.items():
        shard += members(f"mask, {name}", image, nothing)
    full = png(np.full((90, 120), 255, np.uint8))
    shard += members("mask, full", image, full, ["photo, empty"])
    return scorer.rows_of(shard)


@pytest.fixture(scope="module")
def oracle(naflex_checkpoint: Path) -> Any:
    from masc import MaSC

    return MaSC(str(naflex_checkpoint), device="cpu", naflex_max_patches=MAX_NUM_PATCHES)


def opened(content: bytes, mode: str) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert(mode)


def assert_as_the_authors(row: dict[str, Any], theirs: Any) -> None:
    assert row["status"] == "ok", row["error"]
    assert row["cp"] == pytest.approx(theirs.cp, abs=TOLERANCE)
    assert row["pf"] == pytest.approx(theirs.pf, abs=TOLERANCE, nan_ok=True)
    assert row["n_ref_fg_patches"] == [theirs.extras["cp_n_ref_fg"]]
    assert row["n_fg_patches"] == theirs.extras["pf_n_fg"]


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_scores_as_the_authors_score_it_in_rgb(
    rows: dict[str, dict[str, Any]], oracle: Any, name: str
) -> None:
    image = opened(IMAGES[name][1], "RGB")
    photo_mask = np.asarray(opened(MASKS["grey levels"], "L"))
    mask = mask_of_size(image.size)
    theirs = oracle.score(RGB, photo_mask, image, mask, PROMPT, "cat")
    assert_as_the_authors(rows[name], theirs)


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_is_no_image_is_named_with_its_member(
    rows: dict[str, dict[str, Any]], name: str
) -> None:
    assert rows[name]["status"] == "error"
    assert rows[name]["error"].startswith(NO_IMAGES[name][2])
    assert rows[name]["model"] == "m"


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_of_image_and_photo_scores_as_the_authors_read_it(
    rows: dict[str, dict[str, Any]], oracle: Any, name: str
) -> None:
    # As the README of their package reads a mask's file; of alpha it says nothing.
    mask = np.array(opened(MASKS[name], "L"))
    if name in IN_ALPHA:
        mask = np.array(opened(MASKS[name], "RGBA").getchannel("A"))
    theirs = oracle.score(RGB, mask, OTHER, mask, PROMPT, "cat")
    assert_as_the_authors(rows[f"mask, {name}"], theirs)


@pytest.mark.parametrize("name", NO_MASKS)
def test_what_is_no_mask_is_named(rows: dict[str, dict[str, Any]], name: str) -> None:
    row = rows[f"mask, {name}"]
    assert row["status"] == "error"
    assert row["error"].startswith(NO_MASKS[name][1])


def test_an_empty_mask_of_the_photo_and_a_full_one_of_the_image_are_nan_with_both_reasons(
    rows: dict[str, dict[str, Any]],
) -> None:
    row = rows["mask, full"]
    assert row["status"] == "ok"
    assert math.isnan(row["cp"])
    assert math.isnan(row["pf"])
    assert row["error"] == (
        "reference photo, empty has no foreground patch; pf: no background patch"
    )
