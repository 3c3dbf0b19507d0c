"""Masks on the patch grid, with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from masc_core.masks import dilated, eroded, foreground_fraction, mask_weights

CORNER = np.array([[255, 0], [0, 0]], np.uint8)


def test_a_patch_takes_the_mean_of_the_four_pixels_about_its_centre() -> None:
    # 4x4 to 2x2 without antialiasing: each output pixel lies amid 2x2 input pixels.
    mask = np.array([[255, 255, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 255]], np.uint8)
    assert mask_weights(mask, (2, 2)).tolist() == [0.75, 0.0, 0.0, 0.5]


def test_without_antialiasing_pixels_far_from_the_centre_do_not_count() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[0, :] = 255  # the centre of a 1x1 grid lies amid rows 3 and 4
    assert mask_weights(mask, (1, 1)).tolist() == [0.0]


def test_values_up_to_one_are_taken_as_they_are() -> None:
    ones = np.ones((4, 4), np.uint8)
    assert mask_weights(ones, (2, 2)).tolist() == [1.0] * 4
    assert mask_weights(ones * 255, (2, 2)).tolist() == [1.0] * 4
    # Grey level 2 of 255 is faint, not full.
    assert mask_weights(ones * 2, (1, 1)).item() == pytest.approx(2 / 255)


def test_the_grid_is_row_major() -> None:
    mask = np.zeros((2, 3), np.uint8)
    mask[1, 0] = 255
    assert mask_weights(mask, (2, 3)).tolist() == [0, 0, 0, 1, 0, 0]


def test_the_callers_mask_is_left_alone() -> None:
    mask = np.full((4, 4), 200, np.float32)
    mask_weights(mask, (2, 2))
    assert mask.max() == 200


@pytest.mark.parametrize("shape", [(4, 4, 3), (4,), (0, 4)])
def test_what_is_no_mask_is_refused_with_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        mask_weights(np.zeros(shape, np.uint8), (2, 2))


def test_the_foreground_fraction_counts_pixels_that_are_not_zero() -> None:
    assert foreground_fraction(np.array([[0, 1], [255, 0]], np.uint8)) == 0.5
    assert mask_weights(np.zeros((4, 4), bool), (2, 2)).dtype == torch.float32


def picture(mask: np.ndarray) -> list[str]:
    return ["".join("#" if pixel else "." for pixel in row) for row in mask]


def test_a_pixel_grows_to_a_disk() -> None:
    mask = np.zeros((7, 9), np.uint8)
    mask[3, 4] = 255
    assert picture(dilated(mask, 2)) == [
        ".........",
        "....#....",
        "...###...",
        "..#####..",
        "...###...",
        "....#....",
        ".........",
    ]
    # 1^2 + 2^2 <= 3^2, but 2^2 + 3^2 is not; above and below the disk leaves the image.
    assert picture(dilated(mask, 3)) == [
        "....#....",
        "..#####..",
        "..#####..",
        ".#######.",
        "..#####..",
        "..#####..",
        "....#....",
    ]


def test_a_mask_shrinks_where_the_disk_meets_background_or_the_border() -> None:
    mask = np.ones((5, 7), np.uint8)
    mask[0, 6] = 0
    assert picture(eroded(mask, 1)) == [
        ".......",
        ".#####.",
        ".#####.",
        ".#####.",
        ".......",
    ]
    mask[2, 4] = 0
    assert picture(eroded(mask, 1)) == [
        ".......",
        ".###.#.",
        ".##....",
        ".###.#.",
        ".......",
    ]


def grown_pixel_by_pixel(foreground: np.ndarray, pixels: int) -> np.ndarray:
    """The union of a disk around every pixel of the foreground (H, W)."""
    y, x = np.mgrid[: foreground.shape[0], : foreground.shape[1]]
    grown = np.zeros(foreground.shape, bool)
    for row, column in np.argwhere(foreground):
        grown |= (y - row) ** 2 + (x - column) ** 2 <= pixels**2
    return grown


@pytest.mark.slow
@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 0.9, 1.0])
def test_they_are_exact_for_any_mask_and_radius(density: float) -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (1, 13), (12, 1), (9, 14), (23, 17)):
        for pixels in (0, 1, 2, 3, 5, 8, 13, 40):
            foreground = rng.random(shape) < density
            mask = np.where(foreground, 255, 0).astype(np.uint8)
            assert (dilated(mask, pixels) == grown_pixel_by_pixel(foreground, pixels)).all()
            # Shrinking is growing the background, which goes on outside the image.
            around = np.pad(~foreground, pixels + 1, constant_values=True)
            inside = slice(pixels + 1, -pixels - 1)
            kept = ~grown_pixel_by_pixel(around, pixels)[inside, inside]
            assert (eroded(mask, pixels) == kept).all()


def test_a_radius_beyond_the_image_fills_it_or_empties_it() -> None:
    mask = np.array([[0, 0, 3], [0, 0, 0]], np.uint8)
    assert dilated(mask, 10**9).all()
    assert not dilated(np.zeros((2, 3)), 10**9).any()
    assert not eroded(np.ones((2, 3)), 10**9).any()


def test_radius_zero_makes_a_mask_binary() -> None:
    labels = np.array([[0, 3], [200, 0]], np.uint8)
    for same in (dilated(labels, 0), eroded(labels, 0)):
        assert same.dtype == bool
        assert same.tolist() == [[False, True], [True, False]]


def test_what_cannot_be_grown_is_refused() -> None:
    for change in (dilated, eroded):
        with pytest.raises(ValueError, match=r"\(H, W\)"):
            change(np.zeros((4, 4, 3), np.uint8), 1)
        with pytest.raises(ValueError, match="not -1"):
            change(np.zeros((4, 4), np.uint8), -1)


def palette_image() -> Image.Image:
    """Number 3 is painted white, number 7 black."""
    image = Image.fromarray(np.array([[3, 7], [7, 7]], np.uint8), "P")
    image.putpalette([255 if number // 3 == 3 else 0 for number in range(768)])
    return image


@pytest.mark.parametrize(
    "mask",
    [
        CORNER.tolist(),
        tuple(map(tuple, CORNER.tolist())),
        Image.fromarray(CORNER),
        Image.fromarray(CORNER).convert("1"),
        palette_image(),
        torch.tensor([[1.0, 0.0], [0.0, 0.0]], requires_grad=True),
        torch.from_numpy(CORNER) > 0,
        CORNER.astype(np.int64),
        CORNER > 0,
        np.array([[1.0, -1e-9], [0, 0]]),
    ],
    ids=lambda mask: type(mask).__name__,
)
def test_a_mask_is_whatever_numpy_makes_an_array_of(mask: object) -> None:
    assert mask_weights(mask, (2, 2)).tolist() == [1, 0, 0, 0]  # type: ignore[arg-type]


def test_the_foreground_of_a_list_is_counted_too() -> None:
    assert foreground_fraction([[0, 1], [0, 0]]) == 0.25


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        ([[0.0, float("nan")]], "in \\[0, 1\\] or \\[0, 255\\], not nan to nan"),
        ([[0, 65535]], "not 0 to 65535"),
        (np.array([[-1.0, 1.0]]), "not -1 to 1"),
        ([[0, 1], [0]], "no array"),
        ([["cat", "dog"]], "numbers or bools, not <U3"),
        (Image.new("RGB", (2, 2)), "not \\(2, 2, 3\\)"),
        (None, "not \\(\\)"),
    ],
)
def test_what_no_mask_holds_is_refused_by_name(mask: object, reason: str) -> None:
    for use in (foreground_fraction, lambda each: mask_weights(each, (2, 2))):
        with pytest.raises(ValueError, match=reason):
            use(mask)  # type: ignore[operator]
