"""Recall of matches and masked confidence, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from masc_core.comparators.matching import (
    MatchedPair,
    is_foreground_at,
    masked_confidence,
    recall_of_matches,
    weights_in_frame,
)

LEFT = torch.tensor([[True, True, False, False]] * 3)
"""3 x 4 pixels of which the left half is foreground."""


def pair(reference: list[list[float]], generation: list[list[float]]) -> MatchedPair:
    ends = (
        torch.tensor(own, dtype=torch.float32).reshape(-1, 2) for own in (reference, generation)
    )
    return MatchedPair(*ends, confidence=torch.tensor([[0.1, 0.2], [0.4, 0.9]]))


def test_recall_counts_the_matches_that_begin_in_the_foreground() -> None:
    begins = [[0, 0], [1, 2], [1.9, 1], [2, 1], [3, 0]]  # the last two begin outside
    ends = [[0, 2], [2, 0], [1.99, 0], [0, 0], [0, 0]]  # of the others the second ends outside
    assert recall_of_matches(pair(begins, ends), LEFT, LEFT) == pytest.approx(2 / 3)


def test_each_end_is_looked_up_in_its_own_mask() -> None:
    tall = torch.tensor([[True]] * 5 + [[False]] * 5)  # 10 x 1
    found = pair([[0, 0], [1, 0]], [[0, 4], [0, 5]])
    assert recall_of_matches(found, LEFT, tall) == 0.5


@pytest.mark.parametrize("begins", [[], [[2, 0], [3, 2]]])
def test_recall_is_0_where_no_match_begins_in_the_foreground(begins: list[list[float]]) -> None:
    assert recall_of_matches(pair(begins, begins), LEFT, LEFT) == 0.0


def test_a_point_lies_in_the_pixel_that_covers_it_and_one_beyond_the_image_in_the_nearest() -> None:
    points = torch.tensor([[1.999, 0], [2.0, 0], [-0.4, 0], [4.0, 2], [0, 3.0], [0, -1.0]])
    found = is_foreground_at(LEFT, points)
    assert found.tolist() == [True, False, True, False, True, True]


def test_masked_is_the_mean_of_foreground_cells() -> None:
    cells = torch.tensor([[True, False], [True, True]])
    assert masked_confidence(pair([], []), cells) == pytest.approx((0.1 + 0.4 + 0.9) / 3)


def test_masked_is_nan_without_a_foreground_cell() -> None:
    assert math.isnan(masked_confidence(pair([], []), torch.zeros(2, 2, dtype=torch.bool)))


@pytest.mark.parametrize("size", [(7, 5), (24, 36), (11, 40)])
def test_a_mask_of_another_size_comes_to_the_frame_by_pils_nearest_pixels(
    size: tuple[int, int],
) -> None:
    mask = np.random.default_rng(0).integers(0, 256, (12, 18), dtype=np.uint8)
    expected = np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)) / 255
    found = weights_in_frame(mask, (size[1], size[0]))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_a_mask_of_ones_is_foreground_as_one_of_255_is() -> None:
    of_ones = np.array([[0, 1], [1, 0]], dtype=np.uint8)
    assert torch.equal(weights_in_frame(of_ones, (2, 2)), weights_in_frame(of_ones * 255, (2, 2)))
