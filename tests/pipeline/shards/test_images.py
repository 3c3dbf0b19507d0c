"""How a sample's image and masks are decoded, and what is said of those that are odd."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jobs.pipeline.errors import SampleError
from jobs.pipeline.shards.images import (
    ORIENTATION,
    aspect_problem,
    decode_image,
    decode_mask,
    mask_note,
    orientation_note,
    require_whole,
    suffix_by_content,
)
from jobs.pipeline.shards.members import RawSample
from tests.pictures import painted
from tests.shards import png


def test_missing_and_doubled_images_are_named() -> None:
    with pytest.raises(SampleError, match=r"image: no member of jpg.*also has tiff"):
        decode_image(RawSample("k", {}, not_read=["tiff"]), 10**6)
    with pytest.raises(SampleError, match="a second image beside"):
        decode_image(RawSample("k", {"jpg": b"x", "png": b"x"}), 10**6)


@pytest.mark.parametrize("content", [b"", b"not an image", png(painted((64, 64), 1)[0])[:500]])
def test_an_image_that_cannot_be_read_is_named_with_its_member(content: bytes) -> None:
    with pytest.raises(SampleError, match=r"^png: "):
        decode_image(RawSample("k", {"png": content}), 10**6)


def test_an_image_over_the_limit_is_refused_by_its_header_alone() -> None:
    huge = Image.new("1", (20_000, 20_000))
    with pytest.raises(SampleError, match=r"png: 20000x20000 is over limits.max_image_pixels"):
        decode_image(RawSample("k", {"png": png(huge)}), 10**6)


def test_a_mask_is_read_as_pil_turns_it_to_grey() -> None:
    mask = Image.fromarray(np.eye(4, dtype=bool))
    decoded = decode_mask(RawSample("k", {"mask.png": png(mask)}), 10**6)
    assert decoded.tolist() == (np.eye(4) * 255).astype(int).tolist()
    with pytest.raises(SampleError, match=r"mask\.png: missing"):
        decode_mask(RawSample("k", {}), 10**6)


def test_an_error_that_quotes_the_sample_is_cut() -> None:
    suffixes = [f"{i}{'x' * 1000}" for i in range(100)]
    with pytest.raises(SampleError) as error:
        decode_image(RawSample("k", {}, not_read=suffixes), 10**6)
    assert len(str(error.value)) < 1100


def test_a_jpeg_of_endless_scans_is_refused_before_it_takes_its_time() -> None:
    file = io.BytesIO()
    painted((64, 64), 1)[0].save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content.rindex(b"\xff\xda")
    scans = content[:last] + content[last:-2] * 2000 + content[-2:]
    with pytest.raises(SampleError, match=r"^jpg: more than 100 JPEG scans"):
        decode_image(RawSample("k", {"jpg": scans}), 10**6)


IMAGE, MASK = painted((120, 90), 3)


def decoded(mask: Image.Image | np.ndarray) -> np.ndarray:
    return decode_mask(RawSample("k", {"mask.png": png(mask)}), 10**6)


def test_an_alpha_channel_is_the_mask_where_it_varies() -> None:
    for colour in ("white", "black", "red"):
        cut_out = Image.new("RGB", (120, 90), colour)
        cut_out.putalpha(Image.fromarray(MASK))
        assert (decoded(cut_out) == MASK).all()
        assert (decoded(cut_out.convert("LA")) == MASK).all()
    for alpha in (0, 128, 255):
        constant = Image.fromarray(MASK).convert("RGBA")
        constant.putalpha(alpha)
        assert (decoded(constant) == MASK).all()


def test_a_16_bit_image_of_grey_levels_is_refused_and_not_clipped() -> None:
    deep = np.asarray(IMAGE.convert("L")).astype(np.uint16) * 257
    with pytest.raises(SampleError) as error:
        decode_image(RawSample("k", {"png": png(deep)}), 10**6)
    expected = "png: grey in 16 bits, which would be clipped to 8; jobs.pack converts it"
    assert str(error.value) == expected


def test_a_16_bit_mask_is_read_where_8_bits_say_the_same() -> None:
    assert (decoded(MASK.astype(np.uint16) * 257) == MASK).all()
    assert (decoded(MASK.astype(np.uint16)) == MASK).all()
    assert (decoded((MASK > 0).astype(np.uint16)) == (MASK > 0)).all()
    for levels in ([0, 256], [0, 128, 65_535], [300], [0, 65_534]):
        with pytest.raises(SampleError, match=r"^mask\.png: grey levels in more than 8 bits"):
            decoded(np.array([levels], np.uint16))


@pytest.mark.parametrize("largest", [0, 1, 2, 100, 127, 128, 254, 255])
def test_a_mask_without_a_value_that_counts_is_suspicious(largest: int) -> None:
    note = mask_note((MASK > 0).astype(np.uint8) * largest)
    if largest in (2, 100, 127):
        assert note == (
            f"mask.png: no value over {largest} of 255, so no patch is foreground; make it binary"
        )
    else:
        assert note is None


def photo(form: str, orientation: object) -> RawSample:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    IMAGE.save(file, form, exif=exif)
    return RawSample("k", {"jpg": file.getvalue()})


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(10))
def test_a_photo_that_is_not_stored_upright_says_so_and_is_left_as_it_is(
    form: str, orientation: int
) -> None:
    image = decode_image(photo(form, orientation), 10**6)
    assert image.size == IMAGE.size
    if 2 <= orientation <= 8:
        assert orientation_note(image) == (
            f"image: scored as it is stored, though its EXIF orientation is {orientation}; "
            "jobs.pack upright=true turns it"
        )
    else:
        assert orientation_note(image) is None


def test_exif_that_is_damaged_turns_nothing() -> None:
    raw = photo("JPEG", 6)
    content = raw.members["jpg"]
    at = content.index(b"Exif\0\0") + 6
    for damaged in (b"\xff" * 8, b"MM\0\x2a\xff\xff\xff\xff", b"II\x2a\0\x08\0\0\0\xff\xff"):
        raw.members["jpg"] = content[:at] + damaged + content[at + len(damaged) :]
        image = decode_image(raw, 10**6)
        assert orientation_note(image) is None
        assert image.size == IMAGE.size
    assert orientation_note(Image.new("RGB", (4, 4))) is None


SIDES = st.integers(1, 4000)


@given(width=SIDES, height=SIDES, scale=st.floats(0.01, 4), up=st.booleans(), over=st.booleans())
def test_a_mask_of_any_size_fits_its_image_whichever_way_its_sides_were_rounded(
    width: int, height: int, scale: float, up: bool, over: bool
) -> None:
    rounded = [max(1, int(side * scale) + way) for side, way in ((width, up), (height, over))]
    assert aspect_problem((width, height), (rounded[0], rounded[1])) is None


@pytest.mark.parametrize(
    ("image", "mask", "fits"),
    [
        ((1000, 1000), (1000, 1020), True),
        ((1000, 1000), (1000, 1021), False),
        ((1000, 1000), (1020, 1000), True),
        ((1000, 1000), (1021, 1000), False),
        ((120, 90), (90, 120), False),
        ((120, 90), (1, 1), True),
        ((4000, 3000), (16, 12), True),
        ((4000, 3000), (16, 13), True),
        ((4000, 3000), (16, 14), False),
        ((4000, 3000), (19, 12), False),
    ],
)
def test_a_mask_of_another_aspect_is_of_another_image(
    image: tuple[int, int], mask: tuple[int, int], fits: bool
) -> None:
    problem = aspect_problem(image, mask)
    assert (problem is None) == fits
    if not fits:
        sizes = f"{mask[0]}x{mask[1]} is not of the aspect of its image, {image[0]}x{image[1]}"
        assert problem == sizes


@pytest.mark.parametrize(
    ("form", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {})],
)
def test_an_image_is_whole_if_all_of_it_can_be_decoded(form: str, options: dict) -> None:
    file = io.BytesIO()
    painted((60, 40), 1)[0].save(file, form, **options)
    whole = file.getvalue()
    require_whole(whole, "image")
    for length in range(0, len(whole), 7):
        cut_off = whole[:length]
        try:
            with Image.open(io.BytesIO(cut_off)) as image:
                image.convert("RGB")
        except (OSError, SyntaxError):
            with pytest.raises(SampleError, match=r"^image: "):
                require_whole(cut_off, "image")
        else:
            require_whole(cut_off, "image")


@pytest.mark.parametrize(
    ("form", "suffix"),
    [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("GIF", ""), ("BMP", "")],
)
def test_a_format_is_told_by_its_first_bytes(form: str, suffix: str) -> None:
    file = io.BytesIO()
    painted((6, 4), 1)[0].save(file, form)
    assert suffix_by_content(file.getvalue()) == suffix
