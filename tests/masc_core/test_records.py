"""What records say of themselves."""

from __future__ import annotations

import math

import torch

from masc_core.records import Prepared, Reference, Score


def test_a_reference_counts_the_patches_that_it_kept() -> None:
    reference = Reference(torch.zeros(3, 8), n_patches=16, fg_weight=0.2, fg_fraction=0.25)
    assert reference.n_fg_patches == 3
    assert Reference(torch.zeros(0, 8), 16, 0.0, 0.0).n_fg_patches == 0


def test_images_of_one_patch_grid_are_one_bucket() -> None:
    wide, tall = (
        Prepared(torch.zeros(6, 4), grid, torch.zeros(6), 0.0, "", False)
        for grid in ((2, 3), (3, 2))
    )
    assert wide.bucket == (2, 3) != tall.bucket


def test_a_score_counts_its_patches_and_shares_no_columns_with_another() -> None:
    def score() -> Score:
        return Score(
            *(0.5, math.nan, [0.5], [3]),
            n_fg_patches=6,
            n_bg_patches=0,
            grid=(2, 3),
            fg_fraction=1.0,
            text="on a mat",
            subject_found=True,
            n_text_tokens=4,
        )

    one, two = score(), score()
    assert one.n_patches == 6
    one.extra["x"] = 1.0
    one.extras["y"] = 2
    assert (two.extra, two.extras) == ({}, {})
