"""The contact sheet: which masks are on it, and what their outlines show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from jobs.pipeline.segmenting.preview import COLUMNS, INSIDE, OUTSIDE, SIDE, contact_sheet, outlined
from tests.pipeline.segmenting.conftest import unmasked
from tests.shards import generation, write_tar


def test_an_outline_goes_around_the_mask_and_what_is_outside_is_darker() -> None:
    image = Image.new("RGB", (118, 118), (100, 100, 100))
    mask = np.zeros((118, 118), np.uint8)
    mask[:, 59:] = 255
    row = np.asarray(outlined(image, mask))[100].tolist()
    assert len(row) == SIDE - 4
    assert row[50] == [50, 50, 50]
    assert row[117:119] == [list(OUTSIDE), list(INSIDE)]
    assert row[150] == [100, 100, 100]


def test_shards_have_equal_shares_of_the_sheet(tmp_path: Path) -> None:
    one = write_tar(tmp_path / "1.tar", [m for i in range(9) for m in generation(f"a{i}", i)])
    few = write_tar(tmp_path / "2.tar", [*unmasked("b", 1), *generation("c", 2)])
    two = write_tar(tmp_path / "3.tar", [m for i in range(9) for m in generation(f"d{i}", i)])
    sheet = contact_sheet([str(one), str(few), str(two)], "mask.png", 8, 1_000_000)
    # 3 of the first, the one of the second, and 4 of the third.
    assert sheet is not None
    assert sheet.size == (COLUMNS * SIDE, 2 * SIDE)
    tiles = np.asarray(sheet).reshape(2, SIDE, COLUMNS, SIDE, 3).swapaxes(1, 2).reshape(12, -1)
    assert tiles.any(1).tolist() == [True] * 8 + [False] * 4
    assert contact_sheet([str(few)], "mask.other.png", 8, 1_000_000) is None
