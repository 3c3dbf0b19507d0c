"""Masks on the patch grid, with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from masc_core.masks import foreground_fraction, mask_weights


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
