"""What a shard holds of images and masks as people have them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from jobs.pipeline.errors import SampleError
from jobs.pipeline.shards.conversion import Note, stored_image, stored_mask
from jobs.pipeline.shards.images import (
    ORIENTATION,
    decode_image,
    decode_mask,
    orientation_note,
)
from jobs.pipeline.shards.members import RawSample
from tests.pictures import painted
from tests.shards import png

IMAGE, MASK = painted((40, 30), 1)
GREY = np.asarray(IMAGE.convert("L"))


def encoded(image: Image.Image | np.ndarray, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(
        file, form, **options
    )
    return file.getvalue()


def turned(image: Image.Image, form: str, orientation: int, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[0x010F] = "a camera"
    return encoded(image, form, exif=exif, **options)


def decoded(suffix: str, content: bytes) -> np.ndarray:
    """As a worker decodes it."""
    return np.asarray(decode_image(RawSample("k", {suffix: content}), 10**6)).astype(int)


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_an_image_that_needs_nothing_is_stored_as_it_is(form: str, upright: bool) -> None:
    for content in (encoded(IMAGE, form), turned(IMAGE, form, 1)):
        stored = stored_image(content, "jpeg", upright)
        assert stored.content is content
        assert (stored.suffix, stored.size, stored.notes) == ("jpeg", (40, 30), ())


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_what_is_coded_without_loss_is_turned_without_loss(
    form: str, mode: str, orientation: int
) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    image = IMAGE.quantize(32) if mode == "P" else IMAGE.convert(mode)
    content = turned(image, form, orientation, **options)
    stored = stored_image(content, "png", upright=True)
    assert stored.notes == (Note.TURNED,)
    with Image.open(io.BytesIO(content)) as opened:
        upright = ImageOps.exif_transpose(opened.convert("RGB"))
    assert stored.size == upright.size
    assert (decoded(stored.suffix, stored.content) == np.asarray(upright)).all()
    again = decode_image(RawSample("k", {stored.suffix: stored.content}), 10**6)
    assert orientation_note(again) is None
    assert again.getexif()[0x010F] == "a camera"


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_is_turned_and_hardly_changed(mode: str) -> None:
    content = turned(IMAGE.convert(mode), "JPEG", 8, quality=90)
    stored = stored_image(content, "jpg", upright=True)
    assert stored.notes == (Note.TURNED, Note.RECODED)
    with Image.open(io.BytesIO(content)) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened).convert("RGB")).astype(int)
    assert np.abs(decoded("jpg", stored.content) - upright).mean() < 2


def test_an_image_that_is_not_turned_is_noted() -> None:
    content = turned(IMAGE, "JPEG", 6)
    stored = stored_image(content, "jpg", upright=False)
    assert stored.content is content
    assert (stored.size, stored.notes) == ((40, 30), (Note.NOT_UPRIGHT,))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("upright", [True, False])
def test_16_bits_of_grey_become_8_by_257_to_the_nearest(orientation: int, upright: bool) -> None:
    values = np.arange(0, 65_536, 16).astype(np.uint16).reshape(32, 128)
    content = turned(Image.fromarray(values), "PNG", orientation)
    stored = stored_image(content, "png", upright)
    expected = np.round(values / 257).astype(int)
    if orientation == 6 and upright:
        expected = np.rot90(expected, -1)
    assert (decoded("png", stored.content)[..., 0] == expected).all()
    assert Note.DEEP_IMAGE in stored.notes
    exif = Image.open(io.BytesIO(stored.content)).getexif()
    assert exif.get(ORIENTATION, 1) == (1 if upright else orientation)


def test_a_mask_in_png_is_stored_as_it_is_also_with_alpha() -> None:
    cut_out = Image.new("RGB", (40, 30), "white")
    cut_out.putalpha(Image.fromarray(MASK))
    for content in (png(MASK), png(cut_out), png(Image.fromarray(MASK).convert("1"))):
        stored = stored_mask(content, "png")
        assert stored.content is content
        assert (stored.size, stored.notes) == ((40, 30), ())


@pytest.mark.parametrize("form", ["BMP", "TIFF", "GIF", "WEBP"])
def test_another_mask_is_stored_as_the_png_that_it_means(form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    contents = [encoded(MASK, form, **options)]
    if form in ("TIFF", "WEBP"):
        cut_out = Image.new("RGB", (40, 30), "white")
        cut_out.putalpha(Image.fromarray(MASK))
        contents.append(encoded(cut_out, form, **options))
    for content in contents:
        stored = stored_mask(content, form.lower())
        assert stored.suffix == "png"
        raw = RawSample("k", {"mask.png": stored.content})
        assert (decode_mask(raw, 10**6) == MASK).all()


@pytest.mark.parametrize(("form", "suffix"), [("PNG", "png"), ("TIFF", "tif")])
@pytest.mark.parametrize(
    ("values", "meant"),
    [
        (MASK.astype(np.uint16) * 257, MASK),
        (GREY.astype(np.uint16) * 257, GREY),
        (GREY.astype(np.uint16), GREY),
        ((MASK > 0).astype(np.uint16), MASK > 0),
    ],
)
def test_a_16_bit_mask_becomes_8_bits(
    form: str, suffix: str, values: np.ndarray, meant: np.ndarray
) -> None:
    stored = stored_mask(encoded(values, form), suffix)
    assert stored.notes == (Note.DEEP_MASK,)
    raw = RawSample("k", {"mask.png": stored.content})
    assert (decode_mask(raw, 10**6) == meant).all()


@pytest.mark.parametrize(
    "values",
    [
        GREY.astype(np.float32) / 255,
        np.full((3, 3), 70_000, np.int32),
        np.array([[-1, 300]], np.int32),
        np.array([[-1, 3]], np.int32),
    ],
)
def test_a_mask_of_other_numbers_is_refused(values: np.ndarray) -> None:
    with pytest.raises(SampleError, match=r"mask: cannot be decoded: .*save it in 8 bits"):
        stored_mask(encoded(values, "TIFF"), "tif")


DEEP = png(GREY.astype(np.uint16) * 257)


@pytest.mark.parametrize("content", [b"", b"none", DEEP[: len(DEEP) // 2], encoded(MASK, "BMP")])
def test_what_cannot_be_read_is_named(content: bytes) -> None:
    with pytest.raises(SampleError, match=r"^image: "):
        stored_image(content, "png", upright=True)
    with pytest.raises(SampleError, match=r"^mask: "):
        stored_mask(content, "png")
    with pytest.raises(SampleError, match=r"^mask: "):
        stored_mask(content[:60], "bmp")


def palette(*colours: tuple[int, int, int]) -> Image.Image:
    """The mask as labels 0 and 1, shown in these colours."""
    labels = Image.fromarray(MASK // 255)
    labels = labels.convert("P") if labels.mode != "P" else labels
    labels.putpalette([level for colour in colours for level in colour])
    return labels


@pytest.mark.parametrize(
    ("image", "is_coloured"),
    [
        (IMAGE, True),
        (palette((0, 0, 0), (192, 128, 128)), True),
        (palette((0, 0, 0), (255, 255, 255)), False),
        (Image.fromarray(MASK).convert("RGB"), False),
        (Image.merge("RGBA", (*IMAGE.split(), Image.fromarray(MASK))), False),
        (Image.merge("RGBA", (*IMAGE.split(), Image.new("L", IMAGE.size, 255))), True),
        (Image.fromarray(MASK).convert("1"), False),
    ],
)
def test_a_mask_whose_grey_values_stand_for_colours_is_noted(
    image: Image.Image, is_coloured: bool
) -> None:
    """As where it is a photo, or shows labels in the colours of a palette."""
    content = encoded(image, "PNG")
    stored = stored_mask(content, "png")
    assert stored.content is content
    assert stored.notes == ((Note.COLOURED_MASK,) if is_coloured else ())


@pytest.mark.parametrize("quality", [10, 50, 95])
def test_a_mask_in_grey_is_not_coloured_by_its_coding(quality: int) -> None:
    grey = Image.fromarray(MASK)
    for image in (grey, grey.convert("RGB")):
        assert stored_mask(encoded(image, "JPEG", quality=quality), "jpg").notes == ()
    photo = encoded(IMAGE, "JPEG", quality=quality)
    assert stored_mask(photo, "jpg").notes == (Note.COLOURED_MASK,)
